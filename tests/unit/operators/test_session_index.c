#include "operators/session_index.h"
#include "tests/support/unit.h"

#define KEYS 20
#define MOST 4096
#define GAP 5
#define KEEP 20

/* The same as plain lists. */
struct model {
    struct session list[KEYS][MOST];
    size_t count[KEYS];
    int64_t closed;
};

static struct slice key_of(int key, char text[8])
{
    snprintf(text, 8, "k%d", key);
    return slice_text(text);
}

/* Sessions of the model that touch the time, in order; they are taken out. */
static size_t take_touching(struct model *model, int key, int64_t time, struct session *merged)
{
    size_t kept = 0, taken = 0;
    for (size_t i = 0; i < model->count[key]; i++) {
        struct session session = model->list[key][i];
        if (session.end >= time - GAP && session.start <= time + GAP) {
            merged->start = session.start < merged->start ? session.start : merged->start;
            merged->end = session.end > merged->end ? session.end : merged->end;
            taken++;
        } else {
            model->list[key][kept++] = session;
        }
    }
    model->count[key] = kept;
    return taken;
}

static void add(struct session_index *index, struct model *model, int key, int64_t time)
{
    char text[8];
    struct session merged = {time, time};
    struct session_place place = session_index_find(index, key_of(key, text), time);
    size_t taken = take_touching(model, key, time, &merged);
    ck_assert_uint_eq(place.count, taken);
    for (size_t i = 0; i < place.count; i++) {
        struct session session = session_index_at(&place, i);
        ck_assert(session.start >= merged.start && session.end <= merged.end);
    }
    bool gone = taken > 0 && time % 17 == 0;
    session_index_replace(index, key_of(key, text), &place, gone ? NULL : &merged, model->closed);
    if (!gone) {
        model->list[key][model->count[key]++] = merged;
    }
}

/* Takes the session out of the model; it must be there. */
static void remove_session(struct model *model, int key, struct session session)
{
    for (size_t i = 0; i < model->count[key]; i++) {
        if (model->list[key][i].start == session.start && model->list[key][i].end == session.end) {
            model->list[key][i] = model->list[key][--model->count[key]];
            return;
        }
    }
    ck_abort_msg("there is no session %d-%d", (int)session.start, (int)session.end);
}

static void move(struct session_index *index, struct model *model, int64_t closed)
{
    size_t to_close = 0, to_forget = 0;
    for (int key = 0; key < KEYS; key++) {
        for (size_t i = 0; i < model->count[key]; i++) {
            int64_t end = model->list[key][i].end;
            to_close += end > model->closed && end <= closed;
            to_forget += end + KEEP <= closed;
        }
    }
    struct slice key;
    struct session session;
    enum session_event event;
    int64_t last = INT64_MIN;
    while ((event = session_index_due(index, closed, &key, &session)) != SESSION_NONE) {
        int64_t time = session.end + (event == SESSION_CLOSED ? 0 : KEEP);
        ck_assert_int_le(last, time);
        last = time;
        if (event == SESSION_CLOSED) {
            ck_assert(session.end > model->closed && session.end <= closed);
            to_close--;
        } else {
            remove_session(model, atoi((const char *)key.data + 1), session);
            to_forget--;
        }
    }
    model->closed = closed;
    ck_assert_uint_eq(to_close, 0);
    ck_assert_uint_eq(to_forget, 0);
}

START_TEST(it_agrees_with_plain_lists)
{
    static struct model model;
    unsigned seed = 7;
    int64_t time = 0;
    struct session_index *index = session_index_new(GAP, KEEP, true);
    model.closed = -1;
    for (int i = 0; i < 40000; i++) {
        seed = seed * 1103515245u + 12345u;
        unsigned random = seed >> 8;
        time += random % 8 == 0 ? random % 40 : 0;
        int64_t at = time - (int64_t)(random / 16 % 12);
        if (time - GAP - 4 > model.closed) {
            move(index, &model, time - GAP - 4);
        }
        if (at > model.closed) {
            add(index, &model, (int)(random / 256 % KEYS), at);
        }
    }
    move(index, &model, time + 1000);
    ck_assert_uint_eq(session_index_count(index), 0);
    session_index_free(index);
}
END_TEST

START_TEST(many_keys_come_and_go)
{
    struct session_index *index = session_index_new(GAP, KEEP, false);
    char text[16];
    struct slice key;
    struct session session;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20000; i++) {
            struct session one = {i + round * 100000, i + round * 100000};
            snprintf(text, sizeof(text), "key-%d", i);
            struct session_place place = session_index_find(index, slice_text(text), one.start);
            ck_assert_uint_eq(place.count, 0);
            session_index_replace(index, slice_text(text), &place, &one, -1);
        }
        ck_assert_uint_eq(session_index_count(index), 20000);
        size_t forgotten = 0;
        while (session_index_due(index, (round + 1) * 100000, &key, &session) != SESSION_NONE) {
            forgotten++;
        }
        ck_assert_uint_eq(forgotten, 20000);
    }
    session_index_free(index);
}
END_TEST

UNIT_MAIN("session_index", it_agrees_with_plain_lists, many_keys_come_and_go)
