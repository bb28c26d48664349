/* SPDX-License-Identifier: MIT */
/* Pairing heaps of nodes in other structures. */
#include "hv/heap.h"

#include <stddef.h>

/* Two heaps become one.  The result's next and link are the caller's to set. */
static struct heap_node *meld(struct heap_node *a, struct heap_node *b)
{
    if (b->key < a->key) {
        struct heap_node *other = a;

        a = b;
        b = other;
    }
    b->next = a->child;
    if (b->next)
        b->next->link = &b->next;
    a->child = b;
    b->link = &a->child;
    return a;
}

/* A list of siblings becomes one heap: in pairs from the left, then the pairs from the right. */
static struct heap_node *meld_siblings(struct heap_node *list)
{
    struct heap_node *pairs = NULL;
    struct heap_node *result;

    while (list) {
        struct heap_node *pair = list;
        struct heap_node *other = pair->next;

        list = other ? other->next : NULL;
        if (other)
            pair = meld(pair, other);
        pair->next = pairs;
        pairs = pair;
    }
    result = pairs;
    pairs = pairs->next;
    while (pairs) {
        struct heap_node *pair = pairs;

        pairs = pair->next;
        result = meld(result, pair);
    }
    return result;
}

static void add(struct heap *heap, struct heap_node *node)
{
    struct heap_node *root = heap->root ? meld(heap->root, node) : node;

    root->next = NULL;
    root->link = &heap->root;
    heap->root = root;
}

void heap_insert(struct heap *heap, struct heap_node *node, uint64_t key)
{
    node->key = key;
    node->child = NULL;
    add(heap, node);
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    *node->link = node->next;
    if (node->next)
        node->next->link = node->link;
    if (node->child)
        add(heap, meld_siblings(node->child));
}
