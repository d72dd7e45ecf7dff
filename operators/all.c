#include "operators/all.h"

/* In the order of the reference page. */
static const struct operator* const list[] = {
    &operator_source,
    &operator_table_source,
    &operator_filter,
    &operator_filter_not,
    &operator_map,
    &operator_map_values,
    &operator_flat_map,
    &operator_flat_map_values,
    &operator_select_key,
    &operator_peek,
    &operator_foreach,
    &operator_branch,
    &operator_branch_way,
    &operator_merge,
    &operator_repartition,
    &operator_to,
    &operator_group_by,
    &operator_count,
    &operator_reduce,
    &operator_aggregate,
    &operator_table_group_by,
    &operator_table_count,
    &operator_table_reduce,
    &operator_table_aggregate,
    &operator_to_table,
    &operator_to_stream,
    &operator_table_filter,
    &operator_table_filter_not,
    &operator_table_map_values,
    &operator_suppress,
    &operator_join_table,
    &operator_left_join_table,
};

const struct operator_table operators_all = {list, sizeof(list) / sizeof(list[0])};
