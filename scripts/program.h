/* The script file as a program (engine/program.h): each load runs it in a new state.
 *
 * Ownership: program_open's result is closed with program_close after every instance is unloaded. An instance is a
 * struct host in disguise (op_program gives it to operators).
 */
#ifndef TIDEMILL_SCRIPTS_PROGRAM_H
#define TIDEMILL_SCRIPTS_PROGRAM_H

#include "engine/connector.h"
#include "scripts/operator.h"

/* The file is read with each load, not here. `connectors` NULL: the script can use none. */
int program_open(const char *script, const struct operator_table *operators, const struct connector_table *connectors,
                 struct program **program, struct err *err);
void program_close(struct program *program);

/* Counts the lines that run in every load from now on; `coverage` outlives the program. */
void program_cover(struct program *program, struct coverage *coverage);

/* A setting stronger than the script's own ("threads", "4"; "kafka.socket.timeout.ms", "1000"), as --set gives it; it
 * is in force in every load from now on: call it before the first. ERR_CONFIG for a bad name or value. */
int program_override(struct program *program, const char *name, const char *value, struct err *err);

/* Names of the codecs that a node's options say for its topic's keys and values ("string", "windowed(string, 60000)"),
 * or the defaults. */
void program_codecs(struct instance *instance, const struct node *node, const char **key, const char **value);

#endif
