/* JDBC sink configs (Confluent, Aiven, Debezium) as sinks of ours. Pure. */
#ifndef TIDEMILL_CLI_CONNECT_SINK_H
#define TIDEMILL_CLI_CONNECT_SINK_H

#include "cli/connect_script.h"

/* Appends the streams and their sinks to the script's body. ERR_CONFIG. */
int connect_sink_write(struct connect_script *script, struct err *err);

#endif
