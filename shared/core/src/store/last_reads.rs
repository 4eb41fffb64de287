//! The item of a user's last reads: its form, and the write that changes nothing else.

use jiff::Timestamp;
use reauth_domain::{AccountId, LastReads, UserId, Watermark, time::rfc3339};

use super::{
    Condition, Item, Store, StoreError, Versioned, key,
    transaction::{Transaction, next_version, number, text},
};

impl Store {
    /// Writes the last reads when the read result changed no account.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another read result was processed meanwhile. [`StoreError::Erased`] when the
    /// user was erased.
    pub async fn put_last_reads(
        &self,
        user: &UserId,
        last_reads: Versioned<LastReads>,
        handed_in_at: Timestamp,
    ) -> Result<(), StoreError> {
        if last_reads.version == 0 {
            let last_reads = self.first_reads(user, last_reads, handed_in_at).await?;
            let mut transaction = self.unless_erased(user, handed_in_at).await?;
            add_last_reads(&mut transaction, user, &last_reads, self.ambient.now())?;
            return transaction.commit().await;
        }
        let item = last_reads_item(user, &last_reads.value, last_reads.version + 1);
        self.put_if_unchanged(Condition::LastReads, item, last_reads.version).await
    }

    /// The first last reads of a user. If the user was erased before, they hold the time of the erasure.
    pub(super) async fn first_reads(
        &self,
        user: &UserId,
        mut last_reads: Versioned<LastReads>,
        handed_in_at: Timestamp,
    ) -> Result<Versioned<LastReads>, StoreError> {
        last_reads.value.erased_at = self.erased_at(user).await?;
        if last_reads.value.is_void(handed_in_at) { Err(StoreError::Erased) } else { Ok(last_reads) }
    }
}

/// The name of an account's watermark attribute in the item of last reads.
fn watermark_name(account: &AccountId) -> String {
    format!("a#{account}")
}

/// The text of a watermark attribute: `<time><0 or 1>[#<version of the account's item>]`.
fn watermark_text(read: Watermark, account_version: Option<u64>) -> String {
    let version = account_version.map(|version| format!("#{version}")).unwrap_or_default();
    format!("{}{}{version}", rfc3339::text(read.observed_at), u8::from(read.needs_user))
}

fn watermark(text: &str) -> Option<(Watermark, Option<u64>)> {
    let (read, version) = text.split_once('#').map_or((text, None), |(read, version)| (read, Some(version)));
    let (time, flag) = read.split_at_checked(read.len().checked_sub(1)?)?;
    let read = Watermark { observed_at: time.parse().ok()?, needs_user: flag == "1" };
    Some((read, version.map(str::parse).transpose().ok()?))
}

fn last_reads_item(user: &UserId, last_reads: &LastReads, version: u64) -> Item {
    let mut item = key::last_reads(user).into_item();
    item.insert("version".into(), number(version));
    item.extend(last_reads.floor.map(|floor| ("floor".into(), text(watermark_text(floor, None)))));
    item.extend(last_reads.erased_at.map(|at| ("erasedAt".into(), text(rfc3339::text(at)))));
    item.extend(last_reads.watermarks.iter().map(|(account, read)| {
        let version = last_reads.account_versions.get(account).copied();
        (watermark_name(account), text(watermark_text(*read, version)))
    }));
    item
}

pub(super) fn add_last_reads(
    transaction: &mut Transaction<'_>,
    user: &UserId,
    last_reads: &Versioned<LastReads>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let item = last_reads_item(user, &last_reads.value, next_version(last_reads.version, now));
    transaction.put_version(Condition::LastReads, item, last_reads.version)
}

pub(super) fn read_last_reads(item: &Item) -> Result<Versioned<LastReads>, StoreError> {
    let corrupt = || StoreError::Corrupt("the last reads of a user".into());
    let field = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    let version = item.get("version").and_then(|value| value.as_n().ok()).and_then(|version| version.parse().ok());
    let mut value = LastReads {
        floor: field("floor").and_then(|text| watermark(text)).map(|(floor, _)| floor),
        erased_at: field("erasedAt").and_then(|at| at.parse().ok()),
        ..LastReads::default()
    };
    for (name, attribute) in item {
        let Some(account) = name.strip_prefix("a#") else { continue };
        let account: AccountId = account.parse().map_err(|_| corrupt())?;
        let (read, version) = attribute.as_s().ok().and_then(|text| watermark(text)).ok_or_else(corrupt)?;
        value.account_versions.extend(version.map(|version| (account.clone(), version)));
        value.watermarks.insert(account, read);
    }
    Ok(Versioned { value, version: version.ok_or_else(corrupt)? })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn account(number: u8) -> AccountId {
        format!("{number}_a").parse().unwrap()
    }

    #[test]
    fn last_reads_read_back_as_they_were_written() {
        let read = |text: &str, needs_user| Watermark { observed_at: text.parse().unwrap(), needs_user };
        let last_reads = LastReads {
            watermarks: BTreeMap::from([
                (account(1), read("2026-11-23T09:00:00Z", false)),
                (account(2), read("2026-11-23T09:00:00.001Z", true)),
            ]),
            floor: Some(read("2026-11-22T09:00:00Z", true)),
            account_versions: BTreeMap::from([(account(2), 1_795_424_400_000)]),
            erased_at: Some("2026-11-21T09:00:00Z".parse().unwrap()),
        };
        let item = last_reads_item(&"u".parse().unwrap(), &last_reads, 7);
        let read = read_last_reads(&item).unwrap();
        assert_eq!((read.value, read.version), (last_reads, 7));
    }
}
