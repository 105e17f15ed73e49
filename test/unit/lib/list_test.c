/*
 * list_test.c - lists and hash lists, against arrays that hold the same.
 */
#include "lib/list.h"
#include "test/unit/unit.h"

struct item {
	int value;
	struct list_head link;
	struct hlist_node hash;
};

#define N 8
static struct item items[N];
static LIST_HEAD(statically_empty);

static void fill(struct list_head *head, int from, int to)
{
	INIT_LIST_HEAD(head);
	for (int i = from; i < to; i++) {
		items[i].value = i;
		list_add_tail(&items[i].link, head);
	}
}

/* The list holds exactly these digits, forwards and backwards. */
static void check_list(struct list_head *head, const char *digits)
{
	struct item *pos;
	size_t n = 0;

	list_for_each_entry(pos, head, link) {
		CHECK_EQ(pos->value, digits[n] - '0');
		n++;
	}
	CHECK_EQ(digits[n], 0);
	CHECK_EQ(list_count_nodes(head), n);
	list_for_each_entry_reverse(pos, head, link) {
		n--;
		CHECK_EQ(pos->value, digits[n] - '0');
	}
	CHECK_EQ(n, 0);
}

UNIT_TEST(adds_at_both_ends)
{
	struct list_head head;

	CHECK(list_empty(&statically_empty));
	fill(&head, 0, 3);
	CHECK_CALL(check_list(&head, "012"));
	items[3].value = 3;
	list_add(&items[3].link, &head);
	CHECK_CALL(check_list(&head, "3012"));
	CHECK_EQ(list_first_entry(&head, struct item, link), &items[3]);
	CHECK_EQ(list_last_entry(&head, struct item, link), &items[2]);
	CHECK_EQ(list_next_entry(&items[3], link), &items[0]);
	CHECK_EQ(list_prev_entry(&items[0], link), &items[3]);
	CHECK(list_is_first(&items[3].link, &head) && list_is_last(&items[2].link, &head));
}

UNIT_TEST(deletes)
{
	struct list_head head;

	fill(&head, 0, 4);
	list_del(&items[1].link);
	CHECK_EQ(items[1].link.next, LIST_POISON1);
	CHECK_EQ(items[1].link.prev, LIST_POISON2);
	CHECK_CALL(check_list(&head, "023"));
	list_del_init(&items[3].link);
	list_del_init(&items[3].link);
	CHECK(list_empty(&items[3].link));
	CHECK_CALL(check_list(&head, "02"));
	list_del(&items[0].link);
	CHECK(list_is_singular(&head));
	list_del(&items[2].link);
	CHECK(list_empty(&head) && !list_is_singular(&head));
	CHECK_EQ(list_first_entry_or_null(&head, struct item, link), NULL);
	CHECK_EQ(list_last_entry_or_null(&head, struct item, link), NULL);
}

UNIT_TEST(moves_and_replaces)
{
	struct list_head head;

	fill(&head, 0, 4);
	list_move(&items[2].link, &head);
	CHECK_CALL(check_list(&head, "2013"));
	list_move_tail(&items[0].link, &head);
	CHECK_CALL(check_list(&head, "2130"));
	list_rotate_left(&head);
	CHECK_CALL(check_list(&head, "1302"));
	items[4].value = 4;
	list_replace(&items[3].link, &items[4].link);
	CHECK_CALL(check_list(&head, "1402"));
}

UNIT_TEST(splices_and_cuts)
{
	struct list_head a, b;

	fill(&a, 0, 3);
	fill(&b, 3, 6);
	list_splice_init(&b, &a);
	CHECK(list_empty(&b));
	CHECK_CALL(check_list(&a, "345012"));
	list_splice_tail_init(&b, &a);
	CHECK_CALL(check_list(&a, "345012"));
	list_cut_position(&b, &a, &items[5].link);
	CHECK_CALL(check_list(&b, "345"));
	CHECK_CALL(check_list(&a, "012"));
	list_splice_tail_init(&b, &a);
	CHECK_CALL(check_list(&a, "012345"));
	list_cut_position(&b, &a, &a);
	CHECK(list_empty(&b));
	list_cut_position(&b, &a, &items[5].link);
	CHECK(list_empty(&a));
	CHECK_CALL(check_list(&b, "012345"));
}

UNIT_TEST(safe_walks_allow_deletion)
{
	struct list_head head;
	struct item *pos, *n;

	fill(&head, 0, N);
	list_for_each_entry_safe(pos, n, &head, link)
		if (pos->value % 2)
			list_del(&pos->link);
	CHECK_CALL(check_list(&head, "0246"));
	list_for_each_entry_safe_reverse(pos, n, &head, link)
		if (pos->value % 4)
			list_del(&pos->link);
	CHECK_CALL(check_list(&head, "04"));
	pos = &items[0];
	list_for_each_entry_continue(pos, &head, link)
		CHECK_EQ(pos->value, 4);
}

static void check_hash(struct hlist_head *head, const char *digits)
{
	struct item *pos;
	struct hlist_node **at = &head->first;

	hlist_for_each_entry(pos, head, hash) {
		CHECK_EQ(pos->value, *digits++ - '0');
		CHECK_EQ(pos->hash.pprev, at);
		at = &pos->hash.next;
	}
	CHECK_EQ(*digits, 0);
}

UNIT_TEST(hash_lists)
{
	HLIST_HEAD(head);
	struct hlist_head other;
	struct hlist_node *n;
	struct item *pos;

	CHECK(hlist_empty(&head));
	for (int i = 0; i < 4; i++) {
		items[i].value = i;
		INIT_HLIST_NODE(&items[i].hash);
		CHECK(hlist_unhashed(&items[i].hash));
	}
	hlist_add_head(&items[0].hash, &head);
	hlist_add_head(&items[1].hash, &head);
	hlist_add_before(&items[2].hash, &items[0].hash);
	hlist_add_behind(&items[3].hash, &items[0].hash);
	CHECK_CALL(check_hash(&head, "1203"));
	hlist_del_init(&items[2].hash);
	hlist_del_init(&items[2].hash);
	CHECK(hlist_unhashed(&items[2].hash));
	CHECK_CALL(check_hash(&head, "103"));
	hlist_move_list(&head, &other);
	CHECK(hlist_empty(&head));
	CHECK_CALL(check_hash(&other, "103"));
	hlist_for_each_entry_safe(pos, n, &other, hash)
		hlist_del(&pos->hash);
	CHECK(hlist_empty(&other));
	CHECK_EQ(items[0].hash.next, LIST_POISON1);
}

/* A list and an array go through the same random moves. */
UNIT_TEST(agrees_with_an_array)
{
	struct random *r = unit_random();
	struct list_head head;
	int order[N];

	fill(&head, 0, N);
	for (int i = 0; i < N; i++)
		order[i] = i;
	for (int round = 0; round < 2000; round++) {
		int from = (int)random_below(r, N), to = random_one_in(r, 2) ? 0 : N - 1;
		int value = order[from], step = from < to ? 1 : -1;
		char digits[N + 1] = {0};

		for (int i = from; i != to; i += step)
			order[i] = order[i + step];
		order[to] = value;
		if (to)
			list_move_tail(&items[value].link, &head);
		else
			list_move(&items[value].link, &head);
		for (int i = 0; i < N; i++)
			digits[i] = (char)('0' + order[i]);
		CHECK_CALL(check_list(&head, digits));
	}
}
