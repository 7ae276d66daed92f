// Package sqlite keeps limits and jobs in one file, so that they outlive the process. It uses
// SQLite without cgo (modernc.org/sqlite). There is no server to run.
//
//   - What a method has returned nil for is in the file, synced: it survives the end of the
//     process and a crash of the machine. See [Config.NoSync].
//   - Decisions are made in memory, exact to the nanosecond, by [memory.Backend]. A granted
//     request is reported after the claim of its job and the debt of its limits are in the file,
//     in one transaction.
//   - Calls that come during a transaction share the next one, so many goroutines are much
//     faster than one: a transaction costs as long as the disk takes to sync.
//   - One process works on a file at a time. Its death frees the file at once.
//   - Any program may read the file meanwhile.
//
// A call whose context ends while it waits does nothing. Once its transaction has begun, it waits
// for the end, which takes milliseconds on a disk that works.
//
// # After a crash
//
// The next [Open] finds all jobs as they were written last. Limits have their debt and holds, so
// no limit is exceeded over the crash. A slot may be lost: one that was charged, but
// not reported, or one that was given back and not stored yet.
//
// Debt is stored as an instant of the machine's clock. If the clock was set back before the
// next Open, the remaining waits are those at the time of the last write. If it was set forward,
// the time counts as passed. Setting the clock of a running process changes nothing.
//
// # Looking into the file
//
// Any SQLite shell reads the file, also while a process works on it:
//
//	$ sqlite3 mail.db
//	sqlite> SELECT * FROM queue;    -- jobs that wait or are claimed, with dates
//	sqlite> SELECT * FROM dead;     -- dead jobs, with the reasons
//	sqlite> SELECT * FROM limits;   -- debt and holds, in seconds
//	sqlite> .schema                 -- all tables, with comments
//
// These views are made for people. The tables are
//
//	jobs          a row for each job, by number; state is waiting, claimed or dead
//	class_limits  the limits of jobs; many jobs share a class
//	limit_states  what the limits have granted, and holds
//	settings      the dispatcher's, by name
//	journal       one row: the next number, and the owner
//
// Instants are integers, nanoseconds since 1970, and durations are nanoseconds: exact, and no
// larger than coarser ones. Keys, IDs and texts are stored as they are; a shell cuts those that
// hold a NUL. meta and retry are JSON. An array in meta holds names and values in base64, because one
// of them is not UTF-8.
//
// In class_limits, plus_key says that the key of the job follows on key. So the limits "bot7" and
// "bot7:chat:42" of a job with the key "chat:42" are the same class as those of all chats.
//
// Don't write to the file while a process works on it: the process has limits and classes in
// memory. A long read keeps the log, mail.db-wal, from being reused, so it grows meanwhile.
//
// # Files
//
// Beside mail.db there are mail.db-wal and mail.db-shm while it is open, or after a crash. They
// are part of the database: to copy it, use the .backup command of the shell. mail.db-owner is
// empty and stays: its lock is the right to work on the file. All must be on a local disk.
//
// The header has the application_id 0x64697370, and the version of the schema as user_version.
// Open refuses files of newer versions, and of other programs, and leaves them as they are.
//
// The file does not grow for ever: pages of jobs that have ended are used again, and given back to
// the disk once they are more than a quarter of the file.
//
// # Errors
//
// An error of SQLite is an [*Error], which matches what it means: [backend.ErrJournalFull] if the
// disk is full, [ErrReadOnly], [ErrCorrupt] and others. Reserve, Hold and Write then may be called
// again. Nothing that was reported as written is lost. The limits of a Reserve that failed are
// as if it had not been called.
package sqlite
