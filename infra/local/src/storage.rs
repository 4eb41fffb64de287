//! The state that a restart keeps, in the files of the data directory. Without a directory, it is in memory.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use digime::ambient::Ambient;
use dynoxide::Database;
use tempfile::TempDir;

use crate::{
    database::{self, DatabaseError, StreamRecords},
    names,
    queues::{QueueError, QueueSettings, Queues},
    secrets_file::DemoSecrets,
    table::{TableDefinition, TableError},
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error(transparent)]
    Directory(io::Error),
    #[error(transparent)]
    Secrets(io::Error),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Queues(#[from] QueueError),
    #[error(transparent)]
    Table(#[from] TableError),
}

pub(crate) struct Storage {
    pub(crate) database: Database,
    pub(crate) stream_records: StreamRecords,
    pub(crate) queues: Queues,
    pub(crate) secrets: DemoSecrets,
    pub(crate) directory: Directory,
}

/// The directory of a system's files.
pub(crate) enum Directory {
    /// The data directory.
    Kept {
        path: PathBuf,
        /// Locked while the system runs: two systems in one directory would overwrite each other's data.
        _lock: File,
    },
    /// A private directory for the contracts' keys, which is removed when the system ends.
    Temporary(TempDir),
}

impl Directory {
    /// The file of the data directory with this name. `None` if nothing is kept.
    pub(crate) fn kept(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Kept { path, .. } => Some(path.join(name)),
            Self::Temporary(_) => None,
        }
    }

    /// The directory of the contracts' private keys, which exists.
    pub(crate) fn keys(&self) -> io::Result<PathBuf> {
        let path = match self {
            Self::Kept { path, .. } => path.join("keys"),
            Self::Temporary(directory) => directory.path().join("keys"),
        };
        create_private_directory(&path)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
        Ok(path)
    }
}

impl Storage {
    pub(crate) fn in_directory(
        directory: &Path,
        settings: QueueSettings,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        create_private_directory(directory).map_err(StorageError::Directory)?;
        // Absolute, so that the printed paths of the keys are valid everywhere.
        let path = std::path::absolute(directory).map_err(StorageError::Directory)?;
        let lock = lock(&path).map_err(StorageError::Directory)?;
        let secrets = DemoSecrets::load_or_generate(&path.join("secrets.json"), ambient);
        let secrets = secrets.map_err(StorageError::Secrets)?;
        Self::open(Directory::Kept { path, _lock: lock }, settings, secrets, ambient)
    }

    /// `secrets` replaces the generated secrets.
    pub(crate) fn in_memory(
        settings: QueueSettings,
        secrets: Option<DemoSecrets>,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        let secrets = secrets.map_or_else(|| DemoSecrets::generate(ambient), Ok).map_err(StorageError::Secrets)?;
        let mut builder = tempfile::Builder::new();
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let directory = builder.prefix("digime-reauth-").tempdir().map_err(StorageError::Directory)?;
        Self::open(Directory::Temporary(directory), settings, secrets, ambient)
    }

    fn open(
        directory: Directory,
        settings: QueueSettings,
        secrets: DemoSecrets,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        let (database, stream_records) = database::open(directory.kept("dynamodb.sqlite").as_deref(), ambient)?;
        TableDefinition::from_template()?.create(&database, names::TABLE)?;
        let queues = Queues::open(directory.kept("queues.sqlite").as_deref(), ambient.clone(), settings)?;
        Ok(Self { database, stream_records, queues, secrets, directory })
    }
}

/// Creates the directory with access for its owner only, where the operating system has such permissions. An existing
/// directory is not changed, and is refused if others have access to it.
fn create_private_directory(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)?;
    if is_private(directory)? {
        Ok(())
    } else {
        Err(io::Error::other("others can look into it; make it private with chmod 700"))
    }
}

#[cfg(unix)]
fn is_private(directory: &Path) -> io::Result<bool> {
    let permissions = std::fs::metadata(directory)?.permissions();
    Ok(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o077 == 0)
}

/// The directory has the permissions of the directory that contains it.
#[cfg(not(unix))]
fn is_private(_directory: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Locks the directory, and writes the id of this process into the lock file.
fn lock(directory: &Path) -> io::Result<File> {
    // Not truncated: the file can hold the id of the process that holds the lock.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(directory.join("lock"));
    let mut file = file?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(io::Error::other(in_use(file))),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(std::process::id().to_string().as_bytes())?;
    Ok(file)
}

fn in_use(mut lock: File) -> String {
    let mut text = String::new();
    let holder = lock.read_to_string(&mut text).ok().and_then(|_| text.trim().parse::<u32>().ok());
    let holder = holder.map(|id| format!(" (process {id})")).unwrap_or_default();
    format!("another local system{holder} is using it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_names_the_process_that_uses_it() {
        let directory = tempfile::tempdir().unwrap();
        let lock_of_this_process = lock(directory.path()).unwrap();
        let error = lock(directory.path()).unwrap_err().to_string();
        assert_eq!(error, format!("another local system (process {}) is using it", std::process::id()));
        drop(lock_of_this_process);
        lock(directory.path()).unwrap();
    }
}
