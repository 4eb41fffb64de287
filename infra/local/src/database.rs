//! The embedded DynamoDB, and the one thing that it lacks: a stream that forgets.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use dynoxide::Database;
use rusqlite::{Connection, params};

use crate::ambient::random_hex;

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The embedded DynamoDB says so.
    #[error(transparent)]
    Dynamodb(#[from] dynoxide::DynoxideError),
    /// The second connection to its file cannot be made.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// SQLite takes only such names.
    #[error("its path is not UTF-8")]
    Path,
}

/// A second connection to the embedded database's file, for what the database has no call for.
///
/// On AWS a stream keeps its records for a day. The embedded one keeps them for ever, and looks through all of them at
/// each write, so that a system that has seen 100,000 writes stands still. It takes a write lock for each of its own
/// writes, and waits for it, so that another connection may write too.
#[derive(Debug)]
pub(crate) struct StreamRecords(Mutex<Connection>);

/// Opens the database in a file, or in memory.
///
/// # Errors
/// [`DatabaseError`].
pub(crate) fn open(file: Option<&Path>) -> Result<(Database, StreamRecords), DatabaseError> {
    let name = match file {
        Some(file) => file.to_str().ok_or(DatabaseError::Path)?.to_owned(),
        // A database in memory that two connections of this process can open by its name.
        None => format!("file:/{}?vfs=memdb", random_hex(16)),
    };
    let database = Database::new(&name)?;
    Ok((database, StreamRecords(Mutex::new(Connection::open(name)?))))
}

impl StreamRecords {
    /// Forgets the records of a table before that one, which stays: the next sequence number follows from it.
    ///
    /// # Errors
    /// What SQLite says.
    pub(crate) fn forget_before(&self, table: &str, event_id: &str) -> rusqlite::Result<usize> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection
            .prepare_cached(
                "DELETE FROM _stream_records
                 WHERE table_name = ?1 AND id < (SELECT id FROM _stream_records WHERE event_id = ?2)",
            )?
            .execute(params![table, event_id])
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> u64 {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connection.query_row("SELECT COUNT(*) FROM _stream_records", [], |row| row.get(0)).unwrap()
    }
}
