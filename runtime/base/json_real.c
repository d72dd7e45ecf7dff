#include "base/json_real.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 1e-4 /* between these two printf writes no exponent */
#define LIMIT 1e15
#define MANTISSA_BITS 53
#define DIGITS 17 /* with so many every double reads back */
#define POWERS 22

__extension__ typedef unsigned __int128 wide;

static const uint64_t powers_of_ten[] = {1, 10, 100};

static const uint64_t powers_of_five[POWERS] = {UINT64_C(1),
                                                UINT64_C(5),
                                                UINT64_C(25),
                                                UINT64_C(125),
                                                UINT64_C(625),
                                                UINT64_C(3125),
                                                UINT64_C(15625),
                                                UINT64_C(78125),
                                                UINT64_C(390625),
                                                UINT64_C(1953125),
                                                UINT64_C(9765625),
                                                UINT64_C(48828125),
                                                UINT64_C(244140625),
                                                UINT64_C(1220703125),
                                                UINT64_C(6103515625),
                                                UINT64_C(30517578125),
                                                UINT64_C(152587890625),
                                                UINT64_C(762939453125),
                                                UINT64_C(3814697265625),
                                                UINT64_C(19073486328125),
                                                UINT64_C(95367431640625),
                                                UINT64_C(476837158203125)};

/* Appends number / 10^decimals without zeros at its end, but with one decimal at least. */
static void append_decimal(struct bytes *out, bool negative, uint64_t number, int decimals)
{
    char text[48];
    char *behind = text + sizeof text;
    char *start = behind;
    while (decimals > 1 && number % 10 == 0) {
        number /= 10;
        decimals--;
    }
    if (decimals == 0) {
        *--start = '0';
        *--start = '.';
    }
    for (int left = decimals; left > 0 || number > 0; left--) {
        *--start = (char)('0' + number % 10);
        number /= 10;
        if (left == 1) {
            *--start = '.';
        }
    }
    if (*start == '.') {
        *--start = '0';
    }
    if (negative) {
        *--start = '-';
    }
    bytes_append(out, start, (size_t)(behind - start));
}

/* Most numbers have few decimals. Up to 15 digits in all, the decimal that reads back as the same double is the
 * shortest one, and the division below rounds exactly as reading it does. */
static bool append_few_decimals(struct bytes *out, double value)
{
    double size = fabs(value);
    double power = 10;
    if (size >= 1e9 || (size < LEAST && size != 0)) {
        return false;
    }
    for (int decimals = 1; decimals <= 6; decimals++, power *= 10) {
        uint64_t scaled = (uint64_t)(size * power + 0.5);
        if ((double)scaled / power == size) {
            append_decimal(out, signbit(value), scaled, decimals);
            return true;
        }
    }
    return false;
}

/* A double times a power of ten, exactly, so that 17 digits stand before the point: amount / 2^shift. */
struct scaled {
    wide amount;
    int shift;
    int power;
    uint64_t half; /* half the distance to the neighbouring doubles, in the same measure as amount */
    bool even;     /* what lies exactly half way is read as this number, not as its neighbour */
};

static bool scale(double size, struct scaled *scaled)
{
    int exponent;
    double fraction = frexp(size, &exponent);
    uint64_t mantissa = (uint64_t)ldexp(fraction, MANTISSA_BITS);
    exponent -= MANTISSA_BITS;
    int power = DIGITS - 1;
    for (double place = 1; size < place; place /= 10) {
        power++;
    }
    for (double place = 10; size >= place; place *= 10) {
        power--;
    }
    if (fraction == 0.5 || power >= POWERS) {
        return false; /* the neighbours of a power of two are not equally far */
    }
    scaled->half = powers_of_five[power];
    scaled->amount = (wide)(2 * mantissa) * scaled->half;
    scaled->shift = 1 - exponent - power;
    scaled->power = power;
    scaled->even = mantissa % 2 == 0;
    return true;
}

/* The number rounded to so many digits, halves to even as printf does; whether it reads back. */
static bool round_to(const struct scaled *scaled, int digits, uint64_t *number)
{
    uint64_t unit = powers_of_ten[DIGITS - digits];
    wide one = (wide)unit << scaled->shift;
    uint64_t quotient = (uint64_t)(scaled->amount >> scaled->shift) / unit;
    wide below = scaled->amount - quotient * one;
    bool up = 2 * below > one || (2 * below == one && quotient % 2 == 1);
    wide distance = up ? one - below : below;
    *number = quotient + up;
    return distance < scaled->half || (distance == scaled->half && scaled->even);
}

/* printf and strtod do the same for any number, at ten times the cost. */
static bool append_scaled(struct bytes *out, double value)
{
    struct scaled scaled;
    uint64_t number = 0;
    int digits = DIGITS - 2;
    double size = fabs(value);
    if (size < LEAST || size >= LIMIT || !scale(size, &scaled)) {
        return false;
    }
    while (!round_to(&scaled, digits, &number) && digits < DIGITS) {
        digits++;
    }
    append_decimal(out, signbit(value), number, scaled.power - (DIGITS - digits));
    return true;
}

static void append_any(struct bytes *out, double value)
{
    char text[40];
    for (int digits = DIGITS - 2; digits <= DIGITS; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) {
            break;
        }
    }
    bytes_append_text(out, text);
    if (strpbrk(text, ".e") == NULL) {
        bytes_append_text(out, ".0");
    }
}

void json_real_append(struct bytes *out, double value)
{
    if (!append_few_decimals(out, value) && !append_scaled(out, value)) {
        append_any(out, value);
    }
}
