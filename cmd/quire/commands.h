/*
 * commands.h - the words after "quire". Each takes the words that follow it,
 * NULL-ended, and returns the exit status.
 */
#ifndef QUIRE_CMD_COMMANDS_H
#define QUIRE_CMD_COMMANDS_H

int cmd_run(char **words);
int cmd_shell(char **words);
int cmd_pack(char **words);
int cmd_doctor(char **words);

#endif
