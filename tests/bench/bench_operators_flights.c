/* The sums of examples/flights in stock Lua with lua-cjson, in memory: every line decoded, joined with its airline,
 * summed up, the result encoded. No log, no commits, nothing kept: what bench_embedded.sh shows beside the example.
 *
 *     bench_operators_flights [FILE.jsonl.gz]
 */
#include "base/clock.h"
#include "base/bytes.h"
#include "base/memory.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEFAULT_FILE "examples/flights/data/flights.jsonl.gz"

static const char script[] =
    "local cjson = require 'cjson'\n"
    "local sums = {}\n"
    "function record(line)\n"
    "  local flight = cjson.decode(line)\n"
    "  local sum = sums[flight.carrier]\n"
    "  if not sum then\n"
    "    sum = { airline = 'name of ' .. flight.carrier, flights = 0, cancelled = 0, delay = 0, late = 0 }\n"
    "    sums[flight.carrier] = sum\n"
    "  end\n"
    "  sum.flights = sum.flights + 1\n"
    "  if flight.departure_delay == cjson.null then\n"
    "    sum.cancelled = sum.cancelled + 1\n"
    "  else\n"
    "    sum.delay = sum.delay + flight.departure_delay\n"
    "    if flight.departure_delay > 15 then sum.late = sum.late + 1 end\n"
    "  end\n"
    "  local departed = sum.flights - sum.cancelled\n"
    "  return cjson.encode { airline = sum.airline, flights = sum.flights, cancelled = sum.cancelled,\n"
    "    mean_delay = departed > 0 and sum.delay / departed or cjson.null,\n"
    "    late_share = departed > 0 and sum.late / departed or cjson.null }\n"
    "end\n";

static char *read_lines(const char *path, size_t *size)
{
    char *command = memory_format("gzip -dc '%s'", path);
    FILE *file = popen(command, "r");
    struct bytes text = {0};
    size_t got = file != NULL;
    while (got > 0) {
        bytes_reserve(&text, 1 << 20);
        got = fread(text.data + text.size, 1, 1 << 20, file);
        text.size += got;
    }
    free(command);
    if (file == NULL || pclose(file) != 0) {
        fprintf(stderr, "bench_operators_flights: %s can't be read\n", path);
        exit(1);
    }
    *size = text.size;
    return (char *)text.data;
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static long sum_up(lua_State *L, const char *lines, size_t size, size_t *bytes)
{
    long records = 0;
    for (const char *line = lines; line < lines + size; records++) {
        const char *end = memchr(line, '\n', (size_t)(lines + size - line));
        size_t length = (size_t)((end != NULL ? end : lines + size) - line);
        lua_getglobal(L, "record");
        lua_pushlstring(L, line, length);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
            fprintf(stderr, "bench_operators_flights: %s\n", lua_tostring(L, -1));
            exit(1);
        }
        *bytes += lua_rawlen(L, -1);
        lua_settop(L, 0);
        line += length + 1;
    }
    return records;
}

int main(int argc, char **argv)
{
    size_t size = 0, bytes = 0;
    char *lines = read_lines(argc > 1 ? argv[1] : DEFAULT_FILE, &size);
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    if (luaL_dostring(L, script) != LUA_OK) {
        printf("SKIP (lua-cjson is not installed)\n");
        return 0;
    }
    double began = cpu_seconds();
    long records = sum_up(L, lines, size, &bytes);
    double taken = cpu_seconds() - began;
    printf("flights in stock Lua with lua-cjson, in memory: %.0f ns/record, %.0f records/s (%ld records, %zu bytes)\n",
           taken / (double)records * 1e9, (double)records / taken, records, bytes);
    lua_close(L);
    free(lines);
    return 0;
}
