/* Turns at writing, for the processes that share a log: who has written waits behind who was waiting.
 *
 * SQLite's own lock goes to whoever asks first after its release, and that is mostly the process that has just released
 * it. So a writer first waits for a gate that the next in line holds, and keeps the gate until it is its turn. This is
 * about order only: SQLite's lock decides who writes, and a writer whose turn does not come for a while goes on
 * without.
 *
 * Ownership: a turn belongs to one struct local and is used by whoever has its right to write. The locks end with the
 * process that holds them. The file itself stays.
 */
#ifndef TIDEMILL_LOCAL_LOCAL_TURN_H
#define TIDEMILL_LOCAL_LOCAL_TURN_H

struct local_turn {
    int fd; /* -1: not open */
};

#define LOCAL_TURN_NONE ((struct local_turn){-1})

/* Waits for the turn, in the file write.lock of the directory. */
void local_turn_take(struct local_turn *turn, const char *directory);
void local_turn_give(struct local_turn *turn); /* also without having it */
void local_turn_close(struct local_turn *turn);

#endif
