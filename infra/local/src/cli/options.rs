//! The options: on the command line, and in the file `local.toml` of the data directory.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Parser};
use reauth_domain::return_url::{AllowedOrigins, is_secure};
use serde::Deserialize;
use url::Url;

use super::environment;
use crate::contracts::NewContract;

const DEFAULT_PORT: u16 = 9000;
const FILE: &str = "local.toml";

/// digime-reauth on one machine: the API, a console and a digi.me simulator.
///
/// The file local.toml in the data directory can hold the options from --port on, such as `port = 9100`. The command
/// line takes precedence over the environment, and the environment over the file.
#[derive(Parser)]
#[command(name = "digime-reauth", version)]
pub(super) struct Arguments {
    /// Keep data in this directory, for the next run
    #[arg(long, value_name = "PATH", default_value = ".local")]
    data_dir: PathBuf,
    /// Keep all data in memory, read no local.toml, and lose the data at the end
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    common: Common,
}

/// The options that both the command line and the file have, under the same names.
#[derive(Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Common {
    /// Serve the API and the console on this port, and the digi.me simulator on the next one; 0 selects free ports [default: 9000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=65534))]
    port: Option<u16>,
    /// Post each event to this URL too (https, or http to loopback), signed with a secret that is printed
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Allow return URLs of this origin, such as http://localhost:3000; can be given several times
    #[arg(long, value_name = "ORIGIN")]
    return_origin: Vec<String>,
    /// Have no default return URL, so that browsers end on the service's result pages
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    no_return_url: Option<bool>,
    /// Register the contract in this JSON file; can be given several times
    #[arg(long, value_name = "FILE")]
    contract: Vec<PathBuf>,
    /// Refuse requests of the application that are not signed with the credentials that are printed
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    verify_signatures: Option<bool>,
}

/// The options in force.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) port: u16,
    /// `None` keeps all data in memory.
    pub(super) data_dir: Option<PathBuf>,
    pub(super) webhook_url: Option<String>,
    pub(super) return_origins: Vec<String>,
    pub(super) no_return_url: bool,
    pub(super) contracts: Vec<NewContract>,
    pub(super) verify_signatures: bool,
}

impl Chosen {
    /// Reads the file, if there is one, and checks all options.
    pub(super) fn of(arguments: Arguments, environment: &BTreeMap<String, String>) -> Result<Self, String> {
        let Arguments { data_dir, ephemeral, common } = arguments;
        let file = if ephemeral { Common::default() } else { Common::read(&data_dir)? };
        let own_webhook = common.webhook_url.is_some();
        let Common { port, webhook_url, return_origin, no_return_url, contract, verify_signatures } = common.or(file);
        let port = port.unwrap_or(DEFAULT_PORT);
        if port == u16::MAX {
            return Err("port must be 0 to 65534: the digi.me simulator takes the next one".to_owned());
        }
        let of_environment = environment.get(environment::WEBHOOK).filter(|_| !own_webhook);
        let (name, webhook_url) = match of_environment {
            Some(url) => (environment::WEBHOOK, Some(url.clone())),
            None => ("webhook-url", webhook_url),
        };
        if webhook_url.as_ref().is_some_and(|url| !Url::parse(url).is_ok_and(|url| is_secure(&url))) {
            return Err(format!("{name} must be an https URL, or an http URL of a loopback address"));
        }
        let no_return_url = no_return_url.unwrap_or_default();
        if no_return_url && environment.contains_key(environment::RETURN_URL) {
            return Err(format!("{} and no-return-url exclude each other", environment::RETURN_URL));
        }
        let contracts = contract.iter().map(|path| NewContract::read(path)).collect::<Result<_, _>>();
        Ok(Self {
            port,
            data_dir: (!ephemeral).then_some(data_dir),
            webhook_url,
            return_origins: return_origins(return_origin, environment)?,
            no_return_url,
            contracts: contracts.map_err(|error| format!("contract {error}"))?,
            verify_signatures: verify_signatures.unwrap_or_default(),
        })
    }
}

impl Common {
    /// Reads the file of a data directory. Paths in it are relative to the directory.
    fn read(directory: &Path) -> Result<Self, String> {
        let path = directory.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        let mut file: Self =
            toml::from_str(&text).map_err(|error| format!("{}: {}", path.display(), one_line(&error, &text)))?;
        for contract in &mut file.contract {
            *contract = directory.join(&*contract);
        }
        Ok(file)
    }

    /// What is not given here comes from `file`.
    fn or(self, file: Self) -> Self {
        fn list<T>(own: Vec<T>, file: Vec<T>) -> Vec<T> {
            if own.is_empty() { file } else { own }
        }
        Self {
            port: self.port.or(file.port),
            webhook_url: self.webhook_url.or(file.webhook_url),
            return_origin: list(self.return_origin, file.return_origin),
            no_return_url: self.no_return_url.or(file.no_return_url),
            contract: list(self.contract, file.contract),
            verify_signatures: self.verify_signatures.or(file.verify_signatures),
        }
    }
}

/// The message with the line of the error, without an excerpt of the file.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{line}{}", error.message().lines().collect::<Vec<_>>().join(" "))
}

/// The origins of the options and those of the environment.
fn return_origins(own: Vec<String>, environment: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    for origin in &own {
        if origin.contains(',') || AllowedOrigins::parse(origin).is_err() {
            return Err(format!(
                "return-origin {origin} must be an https origin, or an http origin of a loopback address"
            ));
        }
    }
    let listed = environment.get(environment::ORIGINS).map(String::as_str).unwrap_or_default();
    AllowedOrigins::parse(listed).map_err(|error| format!("{} {error}", environment::ORIGINS))?;
    let listed = listed.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::to_owned);
    Ok(own.into_iter().chain(listed).collect())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn chosen(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Chosen, String> {
        let directory = directory.to_str().unwrap();
        let all = ["local", "--data-dir", directory].into_iter().chain(arguments.iter().copied());
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Chosen::of(Arguments::try_parse_from(all).map_err(|error| error.to_string())?, &environment)
    }

    fn with_file(text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), text).unwrap();
        directory
    }

    #[test]
    fn without_options_nothing_is_special() {
        let directory = tempfile::tempdir().unwrap();
        let chosen = chosen(directory.path(), &[], &[]).unwrap();
        assert_eq!((chosen.port, chosen.webhook_url, chosen.return_origins), (9000, None, vec![]));
        assert!(!chosen.no_return_url && !chosen.verify_signatures && chosen.contracts.is_empty());
        assert_eq!(chosen.data_dir.as_deref(), Some(directory.path()));
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_the_environment_over_the_file() {
        let directory = with_file(
            "port = 9100\nwebhook-url = \"http://127.0.0.1:1/file\"\nreturn-origin = [\"http://localhost:1\"]\n\
             no-return-url = true\nverify-signatures = true\n",
        );
        let of_file = chosen(directory.path(), &[], &[]).unwrap();
        assert_eq!((of_file.port, of_file.no_return_url, of_file.verify_signatures), (9100, true, true));
        assert_eq!(of_file.webhook_url.as_deref(), Some("http://127.0.0.1:1/file"));
        assert_eq!(of_file.return_origins, ["http://localhost:1"]);

        let environment = [
            ("WEBHOOK_URL", "http://127.0.0.1:2/env"),
            ("ALLOWED_RETURN_ORIGINS", "https://a.example, https://b.example"),
        ];
        let of_environment = chosen(directory.path(), &[], &environment).unwrap();
        assert_eq!(of_environment.webhook_url.as_deref(), Some("http://127.0.0.1:2/env"));
        assert_eq!(of_environment.return_origins, ["http://localhost:1", "https://a.example", "https://b.example"]);

        let arguments = [
            "--port=9200",
            "--webhook-url=http://127.0.0.1:3/cli",
            "--return-origin=http://localhost:3",
            "--return-origin=http://localhost:4",
            "--no-return-url=false",
            "--verify-signatures=false",
        ];
        let of_cli = chosen(directory.path(), &arguments, &environment[..1]).unwrap();
        assert_eq!((of_cli.port, of_cli.no_return_url, of_cli.verify_signatures), (9200, false, false));
        assert_eq!(of_cli.webhook_url.as_deref(), Some("http://127.0.0.1:3/cli"));
        assert_eq!(of_cli.return_origins, ["http://localhost:3", "http://localhost:4"]);

        let ephemeral = chosen(directory.path(), &["--ephemeral"], &[]).unwrap();
        assert_eq!((ephemeral.port, ephemeral.data_dir), (9000, None));
    }

    #[test]
    fn a_contract_of_the_file_is_found_beside_it() {
        let directory = with_file("contract = [\"mine.json\"]\n");
        let missing = chosen(directory.path(), &[], &[]).unwrap_err();
        assert!(missing.starts_with("contract ") && missing.contains("mine.json"), "{missing}");
        let text = r#"{"applicationId": "a", "contractId": "c", "privateKey": "k"}"#;
        std::fs::write(directory.path().join("mine.json"), text).unwrap();
        assert_eq!(chosen(directory.path(), &[], &[]).unwrap().contracts[0].contract_id, "c");
        std::fs::write(directory.path().join("mine.json"), text.replace("privateKey", "private_key")).unwrap();
        assert!(chosen(directory.path(), &[], &[]).unwrap_err().contains("unknown field `private_key`"));
    }

    #[test]
    fn an_unknown_key_of_the_file_is_refused_in_one_line_that_names_it() {
        let error = chosen(with_file("port = 9100\nwebhok-url = \"x\"\n").path(), &[], &[]).unwrap_err();
        assert!(error.contains("local.toml: line 2: unknown field `webhok-url`"), "{error}");
        assert_eq!(error.lines().count(), 1);
        let error = chosen(with_file("port = \"many\"\n").path(), &[], &[]).unwrap_err();
        assert!(error.contains("local.toml: line 1: ") && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn a_wrong_value_is_refused_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |arguments: &[&str], environment: &[(&str, &str)]| {
            chosen(directory.path(), arguments, environment).unwrap_err()
        };
        assert!(refused(&["--port=65535"], &[]).contains("--port"));
        assert!(chosen(with_file("port = 65535\n").path(), &[], &[]).unwrap_err().starts_with("port "));
        for url in ["http://example.com/", "ftp://127.0.0.1/", "x"] {
            assert!(refused(&["--webhook-url", url], &[]).starts_with("webhook-url "), "{url}");
            assert!(refused(&[], &[("WEBHOOK_URL", url)]).starts_with("WEBHOOK_URL "), "{url}");
        }
        for origin in ["http://example.com", "https://a.example/path", "https://a.example,https://b.example", "x"] {
            assert!(refused(&["--return-origin", origin], &[]).starts_with("return-origin "), "{origin}");
        }
        assert!(refused(&[], &[("ALLOWED_RETURN_ORIGINS", "x")]).starts_with("ALLOWED_RETURN_ORIGINS "));
        let both = refused(&["--no-return-url"], &[("DEFAULT_RETURN_URL", "https://a.example/")]);
        assert!(both.starts_with("DEFAULT_RETURN_URL and no-return-url"), "{both}");
    }

    #[test]
    fn help_explains_every_option_in_one_line() {
        for argument in Arguments::command().get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && help.lines().count() == 1, "{}: {help}", argument.get_id());
        }
        assert_eq!(Arguments::command().render_version(), format!("digime-reauth {}\n", env!("CARGO_PKG_VERSION")));
    }
}
