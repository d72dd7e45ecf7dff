#include "scripts/coverage_lines.h"

#define HEADER_SIZE 31 /* signature 4, version, format, data 6, three sizes, an integer, a number */
#define INSTRUCTION_SIZE 4
#define UPVALUE_SIZE 3
#define ABSOLUTE_LINE (-0x80) /* the line stands in a list of its own */
#define FUNCTIONS_DEEP 200    /* LUAI_MAXCCALLS: the compiler goes no deeper */

enum constant { CONSTANT_INTEGER = 0x03, CONSTANT_FLOAT = 0x13, CONSTANT_SHORT_TEXT = 0x04, CONSTANT_LONG_TEXT = 0x14 };

struct parser {
    struct bytes_reader in;
    void (*each)(void *self, int line);
    void *self;
};

/* Seven bits a byte, the highest first; the last byte has its top bit set. */
static uint64_t take_size(struct parser *parser)
{
    uint64_t size = 0;
    for (int i = 0; i < 10; i++) {
        uint8_t byte = bytes_take_byte(&parser->in);
        size = size << 7 | (byte & 0x7f);
        if (byte & 0x80) {
            return size;
        }
    }
    parser->in.failed = true;
    return 0;
}

static void skip(struct parser *parser, uint64_t count, uint64_t size)
{
    if (size > 0 && count > (uint64_t)(parser->in.end - parser->in.at) / size) {
        parser->in.failed = true;
        return;
    }
    bytes_take(&parser->in, (size_t)(count * size));
}

static void skip_text(struct parser *parser)
{
    uint64_t size = take_size(parser);
    skip(parser, size > 0 ? size - 1 : 0, 1);
}

static void skip_constants(struct parser *parser)
{
    uint64_t count = take_size(parser);
    for (uint64_t i = 0; i < count && !parser->in.failed; i++) {
        switch (bytes_take_byte(&parser->in)) {
        case CONSTANT_INTEGER:
        case CONSTANT_FLOAT:
            skip(parser, 1, 8);
            break;
        case CONSTANT_SHORT_TEXT:
        case CONSTANT_LONG_TEXT:
            skip_text(parser);
            break;
        default: /* nil and booleans are their type alone */
            break;
        }
    }
}

/* The lines that are too far from the one before: pairs of an instruction's number and its line, in order. */
static int take_absolute(struct parser *absolute)
{
    take_size(absolute);
    return (int)take_size(absolute);
}

/* Each instruction's line is the one before it and a difference. The last one is the return that the compiler puts at
 * a function's end, and the first of a function with `...` prepares it: neither is a line of the user's. */
static void give_lines(struct parser *parser, int line, bool variadic)
{
    uint64_t count = take_size(parser);
    struct slice differences = bytes_take(&parser->in, (size_t)count);
    uint64_t absolute_count = take_size(parser);
    struct parser absolute = *parser;
    for (uint64_t i = 0; i < absolute_count && !parser->in.failed; i++) {
        take_absolute(parser);
    }
    for (uint64_t i = 0; i < count && !parser->in.failed; i++) {
        int difference = (signed char)differences.data[i];
        line = difference == ABSOLUTE_LINE ? take_absolute(&absolute) : line + difference;
        if (i + 1 < count && !(variadic && i == 0)) {
            parser->each(parser->self, line);
        }
    }
}

static void skip_names(struct parser *parser)
{
    uint64_t locals = take_size(parser);
    for (uint64_t i = 0; i < locals && !parser->in.failed; i++) {
        skip_text(parser);
        take_size(parser);
        take_size(parser);
    }
    uint64_t upvalues = take_size(parser);
    for (uint64_t i = 0; i < upvalues && !parser->in.failed; i++) {
        skip_text(parser);
    }
}

static void parse_function(struct parser *parser, int depth)
{
    skip_text(parser); /* its source */
    int first_line = (int)take_size(parser);
    take_size(parser); /* its last line */
    bytes_take_byte(&parser->in);
    bool variadic = bytes_take_byte(&parser->in) != 0;
    bytes_take_byte(&parser->in);
    skip(parser, take_size(parser), INSTRUCTION_SIZE);
    skip_constants(parser);
    skip(parser, take_size(parser), UPVALUE_SIZE);
    uint64_t count = take_size(parser);
    parser->in.failed = parser->in.failed || depth == FUNCTIONS_DEEP;
    for (uint64_t i = 0; i < count && !parser->in.failed; i++) {
        parse_function(parser, depth + 1);
    }
    give_lines(parser, first_line, variadic);
    skip_names(parser);
}

bool coverage_lines(struct slice compiled, void (*each)(void *self, int line), void *self)
{
    struct parser parser = {bytes_reader_of(compiled), each, self};
    skip(&parser, HEADER_SIZE, 1);
    bytes_take_byte(&parser.in); /* its number of upvalues */
    parse_function(&parser, 0);
    return !parser.in.failed;
}
