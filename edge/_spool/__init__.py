"""The inside of `edge.spool`: a file of SQLite on APSW, what is done to it, and what may happen to it.

In the event loop, all of it in memory:

pending      what is gathered for the file              committer    brings it there, when it is due
offered      what the senders are shown                 fullness     how much all of it is

Synchronous, in the spool's thread:

keeper       what is asked of the file; the only part that is called from outside the thread
good_file    one good file, whatever happens to it
file         connection, transaction, checkpoint            schema       tables, rows, what an error means
transaction  what can be done to rows, and the notes        policy       what when there is no room
drafts       readings whose times wait for the clock        aside        batches that were refused
rescue       from a torn or deleted file into a new one     words        values that all of these share

look         from another process, read-only
"""
