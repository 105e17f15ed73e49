/*
 * oom_test.c - who has most, in Linux's measure.
 */
#include "kernel/oom.h"
#include "test/unit/unit.h"

#define TOTAL 8000u /* pages of memory */

UNIT_TEST(badness)
{
	CHECK_EQ(oom_badness(0, 0, TOTAL), 0);
	CHECK_EQ(oom_badness(700, 0, TOTAL), 700);
	CHECK_EQ(oom_badness(700, 1, TOTAL), 708);
	CHECK_EQ(oom_badness(700, 500, TOTAL), 4700);
	CHECK_EQ(oom_badness(0, OOM_SCORE_ADJ_MAX, TOTAL), 8000);
	CHECK_EQ(oom_badness(700, -100, TOTAL), -100);
	CHECK_EQ(oom_badness(8000, -999, TOTAL), 8);
	CHECK_EQ(oom_badness(8000, OOM_SCORE_ADJ_MIN, TOTAL), INT64_MIN);
	CHECK_EQ(oom_badness(8000, 1000, 999), 8000); /* whole thousandths only */
}

/* What /proc/PID/oom_score of Linux 6.1 shows. */
UNIT_TEST(scores)
{
	CHECK_EQ(oom_score(oom_badness(0, 0, TOTAL), TOTAL), 666);
	CHECK_EQ(oom_score(oom_badness(4000, 0, TOTAL), TOTAL), 1000);
	CHECK_EQ(oom_score(oom_badness(0, 1000, TOTAL), TOTAL), 1333);
	CHECK_EQ(oom_score(oom_badness(8000, 1000, TOTAL), TOTAL), 2000);
	CHECK_EQ(oom_score(oom_badness(0, -500, TOTAL), TOTAL), 333);
	CHECK_EQ(oom_score(oom_badness(0, -999, TOTAL), TOTAL), 0);
	CHECK_EQ(oom_score(oom_badness(8000, -1000, TOTAL), TOTAL), 0);
	CHECK_EQ(oom_score(0, 0), 0);
}
