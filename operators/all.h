/* The table of operators. A new one is a file, a line here and a line in all.c.
 *
 * Ownership: everything here is constant.
 */
#ifndef TIDEMILL_OPERATORS_ALL_H
#define TIDEMILL_OPERATORS_ALL_H

#include "scripts/operator.h"

extern const struct operator operator_source, operator_table_source, operator_connector_source;
extern const struct operator operator_connector_sink, operator_unwrap;
extern const struct operator operator_filter, operator_filter_not;
extern const struct operator operator_map, operator_map_values, operator_flat_map, operator_flat_map_values;
extern const struct operator operator_select_key, operator_group_by;
extern const struct operator operator_peek, operator_foreach;
extern const struct operator operator_branch, operator_branch_way, operator_merge;
extern const struct operator operator_to, operator_repartition, operator_process;
extern const struct operator operator_count, operator_reduce, operator_aggregate;
extern const struct operator operator_window_count, operator_window_reduce, operator_window_aggregate;
extern const struct operator operator_session_count, operator_session_reduce, operator_session_aggregate;
extern const struct operator operator_table_group_by;
extern const struct operator operator_table_count, operator_table_reduce, operator_table_aggregate;
extern const struct operator operator_to_table, operator_to_stream;
extern const struct operator operator_table_filter, operator_table_filter_not, operator_table_map_values;
extern const struct operator operator_suppress;
extern const struct operator operator_global_table, operator_global_join, operator_global_left_join;
extern const struct operator operator_join_table, operator_left_join_table;
extern const struct operator operator_stream_join, operator_stream_left_join, operator_stream_outer_join;
extern const struct operator operator_table_join, operator_table_left_join, operator_table_outer_join;
extern const struct operator operator_foreign_key, operator_foreign_key_response;
extern const struct operator operator_foreign_key_join, operator_foreign_key_left_join;

extern const struct operator_table operators_all;

#endif
