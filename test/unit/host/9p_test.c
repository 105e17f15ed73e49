/*
 * 9p_test.c - the 9P client against a server in the test: right replies, errors, and hostile ones.
 *
 * The client's two files are compiled in here, above a channel that answers
 * inside the submission.
 */
#include "drivers/virtio_9p.h"
#include "fs/9p.h"
#include "kernel/task.h"
#include "lib/string.h"
#include "test/unit/unit.h"
#include <quire/slab.h>

#include "fs/9p_client.c"
#include "fs/9p_ops.c"

/* --- the server ------------------------------------------------------------------------------- */

#define MESSAGE_MAX 8192

struct p9_channel {
	void (*complete)(void *req, uint32_t len);
	/* Makes the reply to a message; returns its length, which the device reports. */
	size_t (*serve)(const uint8_t *t, size_t n, uint8_t *r);
	unsigned served;
};

static struct p9_channel channel;

struct p9_channel *p9_channel_get(const char *tag)
{
	return strcmp(tag, "share") == 0 ? &channel : NULL;
}

void p9_channel_put(struct p9_channel *ch)
{
	ch->complete = NULL;
}

void p9_channel_set_complete(struct p9_channel *ch, void (*complete)(void *req, uint32_t len))
{
	ch->complete = complete;
}

int p9_channel_submit(struct p9_channel *ch, struct virtio_seg *table, unsigned out, unsigned in,
                      void *req)
{
	static uint8_t t[MESSAGE_MAX], r[MESSAGE_MAX];
	size_t n = 0, len, room = 0;

	for (unsigned i = 0; i < out; i++) {
		memcpy(t + n, phys_to_virt(PHYS(table[i].addr)), table[i].len);
		n += table[i].len;
	}
	memset(r, 0, sizeof(r));
	len = ch->serve(t, n, r);
	for (unsigned i = out; i < out + in; i++) {
		size_t piece = MIN((size_t)table[i].len, len - MIN(len, room));

		memcpy(phys_to_virt(PHYS(table[i].addr)), r + room, piece);
		room += table[i].len;
	}
	ch->served++;
	ch->complete(req, (uint32_t)MIN(len, room));
	return 0;
}

static void put32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

/* The header of a reply of n bytes to message t. */
static size_t header(uint8_t *r, const uint8_t *t, uint8_t type, size_t n)
{
	put32(r, (uint32_t)n);
	r[4] = type;
	memcpy(r + 5, t + 5, 2);
	return n;
}

static size_t serve_error(uint8_t *r, const uint8_t *t, uint32_t err)
{
	put32(r + 7, err);
	return header(r, t, P9_RLERROR, 11);
}

static const char file_data[] = "all the words of a small file, which is longer than a header";

static size_t serve_read(const uint8_t *t, uint8_t *r)
{
	uint64_t offset;
	uint32_t count;
	size_t n;

	memcpy(&offset, t + 11, 8);
	memcpy(&count, t + 19, 4);
	n = offset < sizeof(file_data) ? MIN(sizeof(file_data) - offset, (size_t)count) : 0;
	put32(r + 7, (uint32_t)n);
	if (n)
		memcpy(r + 11, file_data + offset, n);
	return header(r, t, P9_TREAD + 1, 11 + n);
}

static size_t serve_getattr(const uint8_t *t, uint8_t *r)
{
	uint64_t size = sizeof(file_data), path = 42;

	memcpy(r + 7 + 8 + 5, &path, 8);
	put32(r + 28, 0100644);
	memcpy(r + 56, &size, 8);
	return header(r, t, P9_TGETATTR + 1, 160);
}

/* One file, by the name of "file". */
static size_t serve(const uint8_t *t, size_t n, uint8_t *r)
{
	static const uint8_t version[] = {8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L'};

	switch (t[4]) {
	case P9_TVERSION:
		put32(r + 7, 65536);
		memcpy(r + 11, version, sizeof(version));
		return header(r, t, P9_TVERSION + 1, 11 + sizeof(version));
	case P9_TATTACH:
		return header(r, t, P9_TATTACH + 1, 20);
	case P9_TWALK:
		if (n < 23 || memcmp(t + n - 4, "file", 4) != 0)
			return serve_error(r, t, ENOENT);
		r[7] = 1;
		return header(r, t, P9_TWALK + 1, 22);
	case P9_TGETATTR:
		return serve_getattr(t, r);
	case P9_TREAD:
		return serve_read(t, r);
	case P9_TCLUNK:
		return header(r, t, P9_TCLUNK + 1, 7);
	default:
		return serve_error(r, t, EOPNOTSUPP);
	}
}

/* --- tests ---------------------------------------------------------------------------------------- */

struct session {
	struct p9_client *client;
	struct p9_fid *root;
};

static void begin(struct session *s)
{
	struct p9_qid qid;

	channel = (struct p9_channel){.serve = serve};
	req_cache = NULL;
	p9_client_init();
	s->client = p9_client_create("share");
	CHECK(!IS_ERR(s->client));
	s->root = p9_attach(s->client, &qid);
	CHECK(!IS_ERR(s->root));
}

static void end(struct session *s)
{
	channel.serve = serve;
	p9_fid_put(s->root);
	CHECK_EQ(s->client->tags, 0);
	p9_client_destroy(s->client);
	CHECK_EQ(kmem_cache_destroy(req_cache), 0);
}

UNIT_TEST(talks_to_a_server)
{
	struct session s;
	struct p9_fid *fid;
	struct p9_qid qid;
	struct p9_attr attr;

	CHECK_CALL(begin(&s));
	fid = p9_walk(s.root, "file", 4, &qid);
	CHECK(!IS_ERR(fid));
	CHECK_EQ(p9_getattr(fid, &attr), 0);
	CHECK_EQ(attr.size, sizeof(file_data));
	CHECK_EQ(attr.qid.path, 42);
	CHECK_EQ(attr.mode, 0100644);
	p9_fid_put(fid);
	CHECK_CALL(end(&s));
}

UNIT_TEST(passes_errors_on)
{
	struct session s;
	struct p9_qid qid;

	CHECK_CALL(begin(&s));
	CHECK_EQ(PTR_ERR(p9_walk(s.root, "none", 4, &qid)), -ENOENT);
	CHECK_EQ(p9_mkdir(s.root, "d", 1, 0755, 0), -EOPNOTSUPP);
	CHECK_EQ(PTR_ERR(p9_client_create("other")), -ENODEV);
	CHECK_CALL(end(&s));
}

static int64_t read_pieces(struct p9_fid *fid, uint64_t offset, char *a, uint32_t n, char *b,
                           uint32_t m)
{
	struct p9_req *req = p9_io_new(fid, P9_TREAD, 4);

	if (!req)
		return -ENOMEM;
	p9_io_add(req, virt_to_phys(a), n);
	p9_io_add(req, virt_to_phys(b), m);
	return p9_io(req, offset);
}

UNIT_TEST(reads_into_pieces)
{
	char *a = kmalloc(64, GFP_KERNEL), *b = kmalloc(64, GFP_KERNEL);
	struct session s;

	CHECK(a && b);
	CHECK_CALL(begin(&s));
	CHECK_EQ(read_pieces(s.root, 4, a, 10, b, 20), 30);
	CHECK(memcmp(a, file_data + 4, 10) == 0 && memcmp(b, file_data + 14, 20) == 0);
	CHECK_EQ(read_pieces(s.root, 50, a, 10, b, 20), sizeof(file_data) - 50);
	CHECK_EQ(read_pieces(s.root, 500, a, 10, b, 20), 0);
	kfree(a);
	kfree(b);
	CHECK_CALL(end(&s));
}

/* The right reply, but the device says it wrote less. */
static size_t cut_at;
static size_t serve_cut(const uint8_t *t, size_t n, uint8_t *r)
{
	return MIN(serve(t, n, r), cut_at);
}

UNIT_TEST(cut_replies_are_errors)
{
	struct session s;
	struct p9_attr attr;

	CHECK_CALL(begin(&s));
	channel.serve = serve_cut;
	for (cut_at = 0; cut_at < 160; cut_at++)
		CHECK_EQ(p9_getattr(s.root, &attr), cut_at ? -EIO : -EINTR);
	CHECK_EQ(p9_getattr(s.root, &attr), 0);
	CHECK_CALL(end(&s));
}

/* The right reply with one byte of its header changed. */
static unsigned bad_byte;
static size_t serve_bad_header(const uint8_t *t, size_t n, uint8_t *r)
{
	size_t len = serve(t, n, r);

	r[bad_byte] ^= 0x55;
	return len;
}

UNIT_TEST(wrong_headers_are_errors)
{
	struct session s;

	CHECK_CALL(begin(&s));
	channel.serve = serve_bad_header;
	for (bad_byte = 4; bad_byte < 7; bad_byte++) {
		struct p9_attr attr;

		CHECK_EQ(p9_getattr(s.root, &attr), -EIO);
	}
	CHECK_CALL(end(&s));
}

/* More data than was asked for, or than came. */
static size_t serve_too_much(const uint8_t *t, size_t n, uint8_t *r)
{
	size_t len = serve(t, n, r);

	put32(r + 7, 0x7fffffff);
	return len;
}

UNIT_TEST(false_counts_are_errors)
{
	char *a = kmalloc(64, GFP_KERNEL);
	struct session s;

	CHECK(a);
	CHECK_CALL(begin(&s));
	channel.serve = serve_too_much;
	CHECK_EQ(read_pieces(s.root, 0, a, 10, a + 20, 10), -EIO);
	kfree(a);
	CHECK_CALL(end(&s));
}

/* Noise behind a header that is right, right in part, or not at all. */
static size_t serve_noise(const uint8_t *t, size_t n, uint8_t *r)
{
	struct random *rnd = unit_random();
	size_t len = random_below(rnd, 200);

	(void)n;
	for (size_t i = 0; i < 200; i++)
		r[i] = (uint8_t)random_u64(rnd);
	if (random_below(rnd, 4))
		header(r, t, random_below(rnd, 8) ? (uint8_t)(t[4] + 1) : P9_RLERROR,
		       random_below(rnd, 220));
	return len;
}

UNIT_TEST(survives_noise)
{
	char *a = kmalloc(64, GFP_KERNEL);
	struct session s;

	CHECK(a);
	CHECK_CALL(begin(&s));
	for (unsigned i = 0; i < 20000; i++) {
		struct kstatfs statfs;
		struct p9_attr attr;
		struct p9_fid *fid;
		struct p9_qid qid;
		char *target;

		channel.serve = serve_noise;
		(void)!p9_getattr(s.root, &attr);
		(void)!p9_statfs(s.root, &statfs);
		CHECK(read_pieces(s.root, 0, a, 10, a + 20, 10) <= 20);
		target = p9_readlink(s.root);
		if (!IS_ERR(target))
			kfree(target);
		fid = p9_walk(s.root, "file", 4, &qid);
		if (!IS_ERR(fid))
			p9_fid_put(fid);
	}
	kfree(a);
	CHECK_CALL(end(&s));
}
