/* SPDX-License-Identifier: MIT */
#ifndef WRITEWATCH_COMMAND_H
#define WRITEWATCH_COMMAND_H

/* Exit statuses of every subcommand; writewatch(1) lists them. */
enum command_status { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2, STATUS_NO_BACKEND = 3 };

/* argv[0] is "writewatch NAME", so that getopt's messages name the subcommand. */
int command_demo(int argc, char **argv);
int command_probe(int argc, char **argv);
int command_record(int argc, char **argv);
int command_report(int argc, char **argv);
int command_top(int argc, char **argv);

#endif
