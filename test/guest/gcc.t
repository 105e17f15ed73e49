# gcc compiles a program, which then runs.
# options: --mem 384M
# needs: gcc
# timeout: 300
cat >p.c <<'C'
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { struct node *l, *r; int k; };
static struct node *insert(struct node *n, int k)
{
	if (!n) { n = calloc(1, sizeof(*n)); n->k = k; return n; }
	if (k < n->k) n->l = insert(n->l, k); else n->r = insert(n->r, k);
	return n;
}
static int depth(struct node *n) { if (!n) return 0; int a = depth(n->l), b = depth(n->r); return 1 + (a > b ? a : b); }
int main(void)
{
	struct node *root = NULL; unsigned s = 1;
	for (int i = 0; i < 50000; i++) { s = s * 1664525 + 1013904223; root = insert(root, s >> 4); }
	printf("%d %.9f\n", depth(root), sqrt(2.0) + sin(1.0));
	return 3;
}
C
gcc -O2 -Wall -o p p.c -lm && ./p; echo "status $?"
gcc -O1 -c -o q.o p.c && size q.o | tail -1 | cut -f1-3
gcc -g -static -o r p.c -lm && ./r; echo "status $?"
echo 'int main(void) { return x; }' >bad.c; gcc bad.c 2>/dev/null; echo "status $?"
