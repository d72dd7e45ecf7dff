/* tm.connect.file: files as sources and directories of files as targets. */
#ifndef TIDEMILL_CONNECTORS_FILE_FILE_H
#define TIDEMILL_CONNECTORS_FILE_FILE_H

#include "engine/connector.h"

extern const struct connector file_connector;

#endif
