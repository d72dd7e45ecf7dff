/* The configuration file's parser, and the check of every property it finds. */
#include <stdlib.h>

#include "kafka/kafka.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct option_list properties = {0};
    struct err err;
    kafka_config_file(slice_of(data, size), &properties, &err);
    for (size_t i = 0; i < properties.count; i++) {
        kafka_check_property(properties.items[i], &err);
        free(properties.items[i]);
    }
    free(properties.items);
    return 0;
}
