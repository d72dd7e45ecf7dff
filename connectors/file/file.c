#include "connectors/file/file.h"

#include "connectors/file/file_sink.h"
#include "connectors/file/file_source.h"

const struct connector file_connector = {
    .kind = "file",
    .text = "Reads JSON lines and CSV from a file, also one that grows, and writes them into files, exactly once.",
    .source = &file_source_class,
    .sink = &file_sink_class,
};
