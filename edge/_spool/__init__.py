"""The synchronous inside of `edge.spool`: a file of SQLite on APSW, what is done to it, and what may happen to it.

keeper       one good file, whatever happens; the only part that `edge.spool` calls in its thread
file         connection, transaction, checkpoint            schema       tables, rows, what an error means
transaction  what can be done to rows, and the notes        policy       what when there is no room
drafts       readings whose times wait for the clock        aside        batches that were refused
rescue       from a torn or deleted file into a new one     pending      what waits in memory
words        values that all of these share
"""
