/* The script file as a program (engine/program.h): each load runs it in a new state.
 *
 * Ownership: program_open's result is closed with program_close after every instance is unloaded.
 */
#ifndef TIDEMILL_SCRIPTS_PROGRAM_H
#define TIDEMILL_SCRIPTS_PROGRAM_H

#include "scripts/operator.h"

int program_open(const char *script, const struct operator_table *operators, struct program **program, struct err *err);
void program_close(struct program *program);

#endif
