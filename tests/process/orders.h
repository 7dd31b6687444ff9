/* SPDX-License-Identifier: MIT */
#ifndef TEST_PROCESS_ORDERS_H
#define TEST_PROCESS_ORDERS_H

/* What a child does when it is told to, one order at a time. */

/* Before the child is started: obey() carries an order out there and returns 0 or an errno value. */
void orders_begin(int (*obey)(char order));
void orders_end(void);

/* For the child, see child_start_then(). */
void orders_take(void *arg);

/* Returns when the order is carried out; fails the test if it could not be. */
void tell(char order);

#endif
