//! The settings of the simulated digi.me.

use serde::{Deserialize, Serialize};

/// Whether `GET permission-access/accounts` carries `accessTokenStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTokenStatus {
    /// Accounts contain it. A broken account has `authorized: false`.
    #[default]
    Reported,
    /// Accounts do not contain it, as in digi.me's own sample.
    Absent,
}

/// The settings that survive a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Whether listed accounts contain `accessTokenStatus`.
    pub access_token_status: AccessTokenStatus,
    /// Whether the callback of an account reauthorization contains `state`.
    pub echo_state: bool,
    /// Whether a redirect URI may have query parameters beyond the registered ones.
    pub allow_redirect_query: bool,
    /// The number of polls of a read session that answer `running` before the result.
    pub read_delay_polls: u32,
}

/// A change of some settings. `None` leaves a setting unchanged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct SettingsChange {
    pub access_token_status: Option<AccessTokenStatus>,
    pub echo_state: Option<bool>,
    pub allow_redirect_query: Option<bool>,
    pub read_delay_polls: Option<u32>,
}

impl Settings {
    pub(crate) fn change(&mut self, change: SettingsChange) {
        fn set<T>(setting: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *setting = value;
            }
        }
        set(&mut self.access_token_status, change.access_token_status);
        set(&mut self.echo_state, change.echo_state);
        set(&mut self.allow_redirect_query, change.allow_redirect_query);
        set(&mut self.read_delay_polls, change.read_delay_polls);
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            access_token_status: AccessTokenStatus::Reported,
            echo_state: false,
            allow_redirect_query: true,
            read_delay_polls: 1,
        }
    }
}
