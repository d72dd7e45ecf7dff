/* Hash functions: Kafka's for partitions, a fast one for tables. Pure. */
#ifndef TIDEMILL_BASE_HASH_H
#define TIDEMILL_BASE_HASH_H

#include "base/bytes.h"

/* murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2, seed 0x9747b28c). */
uint32_t hash_murmur2(struct slice bytes);
/* The partition the Java client's default partitioner chooses for a key: (murmur2 & 0x7fffffff) % partitions. */
int32_t hash_partition(struct slice key, int32_t partitions);
/* MurmurHash3_x64_128 (Austin Appleby, public domain) with seed 0: stable, for telling one version of a value from
 * another. */
struct hash128 {
    uint64_t low;
    uint64_t high;
};
struct hash128 hash_murmur3(struct slice bytes);
/* 64 well mixed bits for tables in memory; not stable between releases, never stored. */
uint64_t hash_table64(struct slice bytes);

#endif
