#include "connectors/postgres/pgoutput.h"

#include "tests/support/unit.h"

#define BYTES(literal) slice_of(literal, sizeof(literal) - 1)
#define TIME_0 "\0\0\0\0\0\0\0\0"

static void check_cut(struct slice bytes)
{
    struct pgoutput message = {0};
    struct err err;
    for (size_t size = 0; size < bytes.size; size++) {
        ck_assert_int_eq(pgoutput_decode(&message, slice_of(bytes.data, size), &err), -1);
        ck_assert_int_eq(err.class, ERR_FATAL);
    }
    struct bytes longer = {0};
    bytes_append_slice(&longer, bytes);
    bytes_append_byte(&longer, 0);
    ck_assert_int_eq(pgoutput_decode(&message, bytes_slice(&longer), &err), -1);
    bytes_free(&longer);
    pgoutput_free(&message);
}

static void decode(struct pgoutput *message, struct slice bytes)
{
    struct err err;
    check_cut(bytes);
    ck_assert_msg(pgoutput_decode(message, bytes, &err) == 0, "%s", err.text);
}

static void check_text(struct slice text, const char *expected)
{
    ck_assert(slice_equal(text, slice_text(expected)));
}

START_TEST(begin_and_commit)
{
    struct pgoutput m = {0};
    decode(&m, BYTES("B\0\0\0\1\0\0\0\2\0\0\0\0\0\x0f\x42\x40\0\0\2\xda"));
    ck_assert_int_eq(m.kind, PGOUTPUT_BEGIN);
    ck_assert_uint_eq(m.lsn, UINT64_C(0x100000002));
    ck_assert_int_eq(m.time_ms, INT64_C(946684801000));
    ck_assert_uint_eq(m.xid, 730);
    decode(&m, BYTES("C\0\0\0\0\1\0\0\0\2\0\0\0\1\0\0\0\x32" TIME_0));
    ck_assert_int_eq(m.kind, PGOUTPUT_COMMIT);
    ck_assert_uint_eq(m.lsn, UINT64_C(0x100000002));
    ck_assert_uint_eq(m.end, UINT64_C(0x100000032));
    pgoutput_free(&m);
}
END_TEST

START_TEST(relation_lists_its_columns)
{
    struct pgoutput m = {0};
    decode(&m, BYTES("R\0\0\x40\1public\0t\0d\0\2\1id\0\0\0\0\x14\xff\xff\xff\xff\0v\0\0\0\0\x19\xff\xff\xff\xff"));
    ck_assert_uint_eq(m.relation, 0x4001);
    check_text(m.space, "public");
    check_text(m.name, "t");
    ck_assert_int_eq(m.identity, 'd');
    ck_assert_uint_eq(m.column_count, 2);
    check_text(m.columns[0].name, "id");
    ck_assert(m.columns[0].key && !m.columns[1].key);
    ck_assert_uint_eq(m.columns[1].type, 25);
    ck_assert_int_eq(m.columns[1].modifier, -1);
    pgoutput_free(&m);
}
END_TEST

START_TEST(rows_of_changes)
{
    struct pgoutput m = {0};
    decode(&m, BYTES("I\0\0\0\7N\0\3t\0\0\0\2"
                     "42nb\0\0\0\1x"));
    ck_assert_uint_eq(m.row.count, 3);
    check_text(m.row.values[0].data, "42");
    ck_assert_int_eq(m.row.values[1].kind, PGOUTPUT_NULL);
    ck_assert_int_eq(m.row.values[2].kind, PGOUTPUT_BINARY);
    decode(&m, BYTES("U\0\0\0\7N\0\2t\0\0\0\1"
                     "1u"));
    ck_assert_int_eq(m.old_kind, PGOUTPUT_NO_OLD);
    ck_assert_int_eq(m.row.values[1].kind, PGOUTPUT_UNCHANGED);
    decode(&m, BYTES("U\0\0\0\7K\0\2t\0\0\0\1"
                     "1nN\0\2t\0\0\0\1"
                     "2t\0\0\0\0"));
    ck_assert_int_eq(m.old_kind, PGOUTPUT_OLD_KEY);
    check_text(m.old.values[0].data, "1");
    check_text(m.row.values[1].data, "");
    decode(&m, BYTES("D\0\0\0\7O\0\1t\0\0\0\1"
                     "9"));
    ck_assert_int_eq(m.old_kind, PGOUTPUT_OLD_ROW);
    ck_assert_uint_eq(m.row.count, 0);
    pgoutput_free(&m);
}
END_TEST

START_TEST(truncate_message_origin_and_type)
{
    struct pgoutput m = {0};
    decode(&m, BYTES("T\0\0\0\2\3\0\0\0\7\0\0\0\x08"));
    ck_assert(m.cascade && m.restart);
    ck_assert_uint_eq(m.relation_count, 2);
    ck_assert_uint_eq(m.relations[1], 8);
    decode(&m, BYTES("M\1\0\0\0\0\0\0\0\x10outbox\0\0\0\0\2hi"));
    ck_assert(m.transactional);
    check_text(m.name, "outbox");
    check_text(m.content, "hi");
    decode(&m, BYTES("O\0\0\0\0\0\0\0\x10"
                     "east\0"));
    check_text(m.name, "east");
    decode(&m, BYTES("Y\0\0\0\x63public\0mood\0"));
    ck_assert_uint_eq(m.relation, 0x63);
    check_text(m.name, "mood");
    pgoutput_free(&m);
}
END_TEST

START_TEST(what_the_protocol_does_not_allow)
{
    struct pgoutput m = {0};
    struct err err;
    const struct slice bad[] = {
        BYTES(""),
        BYTES("X"),
        BYTES("I\0\0\0\7K\0\0"),
        BYTES("D\0\0\0\7N\0\0"),
        BYTES("I\0\0\0\7N\0\1t\xff\xff\xff\xff"),
        BYTES("I\0\0\0\7N\0\1z"),
        BYTES("U\0\0\0\7K\0\0K\0\0"),
        BYTES("T\xff\xff\xff\xff\0\0\0\0\1"),
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_int_eq(pgoutput_decode(&m, bad[i], &err), -1);
    }
    pgoutput_free(&m);
}
END_TEST

START_TEST(frames_and_the_reply)
{
    struct pgoutput_frame frame;
    struct err err;
    const struct slice data = BYTES("w\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2" TIME_0 "B..");
    ck_assert_int_eq(pgoutput_frame(data, &frame, &err), 0);
    ck_assert_int_eq(frame.kind, PGOUTPUT_DATA);
    ck_assert_uint_eq(frame.start, 1);
    ck_assert_uint_eq(frame.end, 2);
    check_text(frame.message, "B..");
    ck_assert_int_eq(pgoutput_frame(slice_of(data.data, 24), &frame, &err), -1);
    ck_assert_int_eq(pgoutput_frame(BYTES("k\0\0\0\0\0\0\0\x09" TIME_0 "\1"), &frame, &err), 0);
    ck_assert(frame.reply);
    ck_assert_uint_eq(frame.end, 9);
    ck_assert_int_eq(pgoutput_frame(BYTES("k\0\0\0\0\0\0\0\x09" TIME_0), &frame, &err), -1);
    ck_assert_int_eq(pgoutput_frame(BYTES("z"), &frame, &err), -1);
    struct bytes out = {0};
    pgoutput_reply(&out, 3, 2, INT64_C(946684800001));
    ck_assert(slice_equal(bytes_slice(&out), BYTES("r\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0\2"
                                                   "\0\0\0\0\0\0\3\xe8\0")));
    bytes_free(&out);
}
END_TEST

START_TEST(log_positions_as_text)
{
    uint64_t lsn = 0;
    char text[PGOUTPUT_LSN_SIZE];
    ck_assert(pgoutput_parse_lsn(slice_text("16/B374d848"), &lsn));
    ck_assert_uint_eq(lsn, UINT64_C(0x16B374D848));
    pgoutput_format_lsn(lsn, text);
    ck_assert_str_eq(text, "16/B374D848");
    const char *bad[] = {"", "/", "1/", "/1", "1/2/3", "1/2 ", "g/1", "123456789/1", "1/123456789"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(!pgoutput_parse_lsn(slice_text(bad[i]), &lsn), "%s", bad[i]);
    }
}
END_TEST

UNIT_MAIN("pgoutput", begin_and_commit, relation_lists_its_columns, rows_of_changes, truncate_message_origin_and_type,
          what_the_protocol_does_not_allow, frames_and_the_reply, log_positions_as_text)
