/*
 * intvec.h - integers written to a file of /proc/sys.
 */
#ifndef LIB_INTVEC_H
#define LIB_INTVEC_H

#include <quire/types.h>

/*
 * Up to `count` numbers within [min, max] from text[0..len), behind which there must be a 0. White space may stand before,
 * between and behind them; a number is spelt as in C, decimal, octal or hexadecimal, perhaps with a minus.
 * Returns how many there are, *used being what was read of the text: less than len if there is more behind `count` numbers.
 * -EINVAL: one of them is no number, out of range, or there is none.
 */
MUST_USE int parse_intvec(const char *text, size_t len, int32_t min, int32_t max, int32_t values[],
                          unsigned count, size_t *used);

#endif
