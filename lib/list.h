/*
 * list.h - doubly linked lists whose links live inside the listed objects.
 *
 *   struct list_head   a ring through a head; both ends in constant time
 *   struct hlist_head  one pointer; for hash tables, where heads outnumber objects
 *
 * Nothing here locks, allocates or fails: the owner of a list names the lock that guards it.
 * An entry is on at most one list through a given link. Names are Linux 6.1's.
 */
#ifndef LIB_LIST_H
#define LIB_LIST_H

#include <quire/types.h>

struct list_head {
	struct list_head *next, *prev;
};

struct hlist_node {
	struct hlist_node *next, **pprev; /* pprev: the pointer that points here; NULL when off */
};

struct hlist_head {
	struct hlist_node *first;
};

/* What the links of a deleted entry hold: non-canonical on x86-64, so that a use of them traps. */
#define LIST_POISON1 ((void *)0xdead000000000100ull)
#define LIST_POISON2 ((void *)0xdead000000000122ull)

/* clang-format off */
#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define HLIST_HEAD_INIT      { NULL }
/* clang-format on */
#define LIST_HEAD(name)  struct list_head name = LIST_HEAD_INIT(name)
#define HLIST_HEAD(name) struct hlist_head name = HLIST_HEAD_INIT

static inline void INIT_LIST_HEAD(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

/* Whole and at once, for list_empty() looks at it without the lock. */
static inline void list_set_next(struct list_head *entry, struct list_head *next)
{
	__atomic_store_n(&entry->next, next, __ATOMIC_RELAXED);
}

static inline void list_insert_between(struct list_head *entry, struct list_head *prev,
                                       struct list_head *next)
{
	next->prev = entry;
	entry->next = next;
	entry->prev = prev;
	list_set_next(prev, entry);
}

static inline void list_join(struct list_head *prev, struct list_head *next)
{
	next->prev = prev;
	list_set_next(prev, next);
}

/* At the front: right behind head. head may be any entry of a list. */
static inline void list_add(struct list_head *entry, struct list_head *head)
{
	list_insert_between(entry, head, head->next);
}

/* At the back: right before head. */
static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
	list_insert_between(entry, head->prev, head);
}

/* Off its list, links poisoned: before another use it must be added or initialised again. */
static inline void list_del(struct list_head *entry)
{
	list_join(entry->prev, entry->next);
	entry->next = (struct list_head *)LIST_POISON1;
	entry->prev = (struct list_head *)LIST_POISON2;
}

/* Off its list and empty: list_empty(entry) holds, and deleting it again does nothing. */
static inline void list_del_init(struct list_head *entry)
{
	list_join(entry->prev, entry->next);
	INIT_LIST_HEAD(entry);
}

/* entry takes the place of old, whose links stay as they were. */
static inline void list_replace(struct list_head *old, struct list_head *entry)
{
	list_insert_between(entry, old->prev, old->next);
}

static inline void list_move(struct list_head *entry, struct list_head *head)
{
	list_join(entry->prev, entry->next);
	list_add(entry, head);
}

static inline void list_move_tail(struct list_head *entry, struct list_head *head)
{
	list_join(entry->prev, entry->next);
	list_add_tail(entry, head);
}

/* Also without the lock: then it tells what was so at some moment, in no order with anything else. */
static inline bool list_empty(const struct list_head *head)
{
	return __atomic_load_n(&head->next, __ATOMIC_RELAXED) == head;
}

static inline bool list_is_singular(const struct list_head *head)
{
	return head->next != head && head->next == head->prev;
}

static inline bool list_is_first(const struct list_head *entry, const struct list_head *head)
{
	return entry->prev == head;
}

static inline bool list_is_last(const struct list_head *entry, const struct list_head *head)
{
	return entry->next == head;
}

static inline bool list_is_head(const struct list_head *entry, const struct list_head *head)
{
	return entry == head;
}

static inline void list_splice_between(const struct list_head *list, struct list_head *prev,
                                       struct list_head *next)
{
	struct list_head *first = list->next, *last = list->prev;

	first->prev = prev;
	list_set_next(prev, first);
	last->next = next;
	next->prev = last;
}

/* All of list to the front or to the back of head. The plain forms leave list itself invalid. */
static inline void list_splice(const struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		list_splice_between(list, head, head->next);
}

static inline void list_splice_tail(const struct list_head *list, struct list_head *head)
{
	if (!list_empty(list))
		list_splice_between(list, head->prev, head);
}

static inline void list_splice_init(struct list_head *list, struct list_head *head)
{
	list_splice(list, head);
	INIT_LIST_HEAD(list);
}

static inline void list_splice_tail_init(struct list_head *list, struct list_head *head)
{
	list_splice_tail(list, head);
	INIT_LIST_HEAD(list);
}

/* Move the entries from the first up to and including entry to head, which is empty or unused. */
static inline void list_cut_position(struct list_head *head, struct list_head *list,
                                     struct list_head *entry)
{
	struct list_head *rest = entry->next;

	INIT_LIST_HEAD(head);
	if (entry == list)
		return;
	list_splice_between(&(struct list_head){list->next, entry}, head, head);
	list_join(list, rest);
}

/* The first entry becomes the last. */
static inline void list_rotate_left(struct list_head *head)
{
	if (!list_empty(head))
		list_move_tail(head->next, head);
}

/* Walks the whole list. */
static inline size_t list_count_nodes(const struct list_head *head)
{
	size_t n = 0;

	for (const struct list_head *p = head->next; p != head; p = p->next)
		n++;
	return n;
}

#define list_entry(ptr, type, member)         container_of(ptr, type, member)
#define list_first_entry(head, type, member)  list_entry((head)->next, type, member) /* not empty */
#define list_last_entry(head, type, member)   list_entry((head)->prev, type, member) /* not empty */
#define list_entry_is_head(pos, head, member) (&(pos)->member == (head))

#define list_next_entry(pos, member) list_entry((pos)->member.next, __typeof__(*(pos)), member)
#define list_prev_entry(pos, member) list_entry((pos)->member.prev, __typeof__(*(pos)), member)

/* NULL when empty. */
#define list_first_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_last_entry_or_null(head, type, member) \
	(list_empty(head) ? NULL : list_last_entry(head, type, member))

/* The _safe forms allow pos, and nothing else, to be deleted in the body. */
#define list_for_each(pos, head)      for (pos = (head)->next; pos != (head); pos = pos->next)
#define list_for_each_prev(pos, head) for (pos = (head)->prev; pos != (head); pos = pos->prev)
#define list_for_each_safe(pos, n, head) \
	for (pos = (head)->next, n = pos->next; pos != (head); pos = n, n = pos->next)

#define list_for_each_entry(pos, head, member)                       \
	for (pos = list_first_entry(head, __typeof__(*pos), member); \
	     !list_entry_is_head(pos, head, member); pos = list_next_entry(pos, member))
#define list_for_each_entry_reverse(pos, head, member)              \
	for (pos = list_last_entry(head, __typeof__(*pos), member); \
	     !list_entry_is_head(pos, head, member); pos = list_prev_entry(pos, member))
#define list_for_each_entry_safe(pos, n, head, member)               \
	for (pos = list_first_entry(head, __typeof__(*pos), member), \
	    n = list_next_entry(pos, member);                        \
	     !list_entry_is_head(pos, head, member); pos = n, n = list_next_entry(n, member))
#define list_for_each_entry_safe_reverse(pos, n, head, member)      \
	for (pos = list_last_entry(head, __typeof__(*pos), member), \
	    n = list_prev_entry(pos, member);                       \
	     !list_entry_is_head(pos, head, member); pos = n, n = list_prev_entry(n, member))
/* From the entry after pos / from pos itself. */
#define list_for_each_entry_continue(pos, head, member)                                  \
	for (pos = list_next_entry(pos, member); !list_entry_is_head(pos, head, member); \
	     pos = list_next_entry(pos, member))
#define list_for_each_entry_from(pos, head, member) \
	for (; !list_entry_is_head(pos, head, member); pos = list_next_entry(pos, member))

static inline void INIT_HLIST_HEAD(struct hlist_head *head)
{
	head->first = NULL;
}

static inline void INIT_HLIST_NODE(struct hlist_node *node)
{
	node->next = NULL;
	node->pprev = NULL;
}

/* On no list. Valid after INIT_HLIST_NODE() and hlist_del_init(), not after hlist_del(). */
static inline bool hlist_unhashed(const struct hlist_node *node)
{
	return !node->pprev;
}

static inline bool hlist_empty(const struct hlist_head *head)
{
	return !READ_ONCE(head->first);
}

static inline void hlist_add_at(struct hlist_node *node, struct hlist_node **where)
{
	struct hlist_node *next = *where;

	node->next = next;
	node->pprev = where;
	*where = node;
	if (next)
		next->pprev = &node->next;
}

static inline void hlist_add_head(struct hlist_node *node, struct hlist_head *head)
{
	hlist_add_at(node, &head->first);
}

static inline void hlist_add_before(struct hlist_node *node, struct hlist_node *next)
{
	hlist_add_at(node, next->pprev);
}

static inline void hlist_add_behind(struct hlist_node *node, struct hlist_node *prev)
{
	hlist_add_at(node, &prev->next);
}

static inline void hlist_unlink(struct hlist_node *node)
{
	*node->pprev = node->next;
	if (node->next)
		node->next->pprev = node->pprev;
}

static inline void hlist_del(struct hlist_node *node)
{
	hlist_unlink(node);
	node->next = (struct hlist_node *)LIST_POISON1;
	node->pprev = (struct hlist_node **)LIST_POISON2;
}

static inline void hlist_del_init(struct hlist_node *node)
{
	if (hlist_unhashed(node))
		return;
	hlist_unlink(node);
	INIT_HLIST_NODE(node);
}

/* The whole list to another head; the old one becomes empty. */
static inline void hlist_move_list(struct hlist_head *old, struct hlist_head *head)
{
	head->first = old->first;
	if (head->first)
		head->first->pprev = &head->first;
	old->first = NULL;
}

#define hlist_entry(ptr, type, member) container_of(ptr, type, member)
#define hlist_entry_safe(ptr, type, member)                      \
	({                                                       \
		struct hlist_node *node_ = (ptr);                \
		node_ ? hlist_entry(node_, type, member) : NULL; \
	})

#define hlist_for_each_entry(pos, head, member)                                      \
	for (pos = hlist_entry_safe((head)->first, __typeof__(*(pos)), member); pos; \
	     pos = hlist_entry_safe((pos)->member.next, __typeof__(*(pos)), member))
/* n: a struct hlist_node *. pos may be deleted in the body. */
#define hlist_for_each_entry_safe(pos, n, head, member)                         \
	for (pos = hlist_entry_safe((head)->first, __typeof__(*(pos)), member); \
	     pos && ((n = (pos)->member.next), true);                           \
	     pos = hlist_entry_safe(n, __typeof__(*(pos)), member))

#endif
