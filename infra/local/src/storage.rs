//! The state that a restart keeps, in the files of the data directory. Without a directory, it is in memory.

use std::{
    fs::{DirBuilder, File},
    io,
    path::Path,
};

use digime::ambient::Ambient;
use dynoxide::Database;

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
    /// Locked while the system runs: two systems in one directory would overwrite each other's data.
    pub(crate) lock: Option<File>,
}

impl Storage {
    pub(crate) fn in_directory(
        directory: &Path,
        settings: QueueSettings,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        create_private_directory(directory).map_err(StorageError::Directory)?;
        let lock = lock(directory).map_err(StorageError::Directory)?;
        let secrets = DemoSecrets::load_or_generate(&directory.join("secrets.json"), ambient);
        let secrets = secrets.map_err(StorageError::Secrets)?;
        Self::open(Some(directory), settings, secrets, Some(lock), ambient)
    }

    /// `secrets` replaces the generated secrets.
    pub(crate) fn in_memory(
        settings: QueueSettings,
        secrets: Option<DemoSecrets>,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        let secrets = secrets.map_or_else(|| DemoSecrets::generate(ambient), Ok).map_err(StorageError::Secrets)?;
        Self::open(None, settings, secrets, None, ambient)
    }

    fn open(
        directory: Option<&Path>,
        settings: QueueSettings,
        secrets: DemoSecrets,
        lock: Option<File>,
        ambient: &Ambient,
    ) -> Result<Self, StorageError> {
        let file = |name: &str| directory.map(|directory| directory.join(name));
        let (database, stream_records) = database::open(file("dynamodb.sqlite").as_deref(), ambient)?;
        TableDefinition::from_template()?.create(&database, names::TABLE)?;
        let queues = Queues::open(file("queues.sqlite").as_deref(), ambient.clone(), settings)?;
        Ok(Self { database, stream_records, queues, secrets, lock })
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

fn lock(directory: &Path) -> io::Result<File> {
    let file = File::create(directory.join("lock"))?;
    file.try_lock().map_err(|_| io::Error::other("another local system is using it"))?;
    Ok(file)
}
