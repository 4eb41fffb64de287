//! The options: on the command line, and in the file `local.toml` of the data directory.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Parser};
use reauth_core::webhook::check_url;
use reauth_domain::return_url::AllowedOrigins;
use serde::Deserialize;

use super::environment;
use crate::contracts::NewContract;

const DEFAULT_PORT: u16 = 9000;
const FILE: &str = "local.toml";

const FILE_HELP: &str = "\
The file local.toml in the data directory can hold the options from --port on, such as `port = 9100`.
The command line takes precedence over the environment, and the environment over the file.";

/// digime-reauth on one machine: the API, a console and a digi.me simulator
// An option with a long explanation would have it on a line of its own.
#[derive(Parser)]
#[command(name = "local", version, after_help = FILE_HELP, next_line_help = false)]
pub(super) struct Arguments {
    /// Keep data in this directory, for the next run
    #[arg(long, value_name = "PATH", default_value = ".local")]
    data_dir: PathBuf,
    /// Keep all data in memory, and read no local.toml
    #[arg(long)]
    ephemeral: bool,
    #[command(flatten)]
    common: Common,
}

/// The options that both the command line and the file have, under the same names.
#[derive(Default, Args, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
struct Common {
    /// Port of the API; the simulator takes the next [default: 9000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=65534))]
    port: Option<u16>,
    /// Post events to this URL too: https, or http to loopback
    #[arg(long, value_name = "URL")]
    webhook_url: Option<String>,
    /// Allow return URLs of this origin; can be given several times
    #[arg(long, value_name = "ORIGIN")]
    return_origin: Vec<String>,
    /// Let browsers end on the service's result pages
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
    no_return_url: Option<bool>,
    /// Register the contract in this file; can be given several times
    #[arg(long, value_name = "FILE")]
    contract: Vec<PathBuf>,
    /// Refuse unsigned requests of the application
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(hide_possible_values = true)]
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
        let port = common.port.or(file.port).unwrap_or(DEFAULT_PORT);
        if port == u16::MAX {
            return Err("port must be 0 to 65534: the digi.me simulator takes the next one".to_owned());
        }
        // A return URL in the environment is the opposite of this option.
        let of_environment = environment.get(environment::RETURN_URL).map(|_| false);
        let no_return_url = common.no_return_url.or(of_environment).or(file.no_return_url);
        let contracts = if common.contract.is_empty() { file.contract } else { common.contract };
        let contracts = contracts.iter().map(|path| NewContract::read(path)).collect::<Result<_, _>>();
        Ok(Self {
            port,
            data_dir: (!ephemeral).then_some(data_dir),
            webhook_url: webhook_url(common.webhook_url, environment, file.webhook_url)?,
            return_origins: return_origins(common.return_origin, environment, file.return_origin)?,
            no_return_url: no_return_url.unwrap_or_default(),
            contracts: contracts.map_err(|error| format!("contract {error}"))?,
            verify_signatures: common.verify_signatures.or(file.verify_signatures).unwrap_or_default(),
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
}

/// The message with the line of the error, without an excerpt of the file.
fn one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let line = line.map(|line| format!("line {line}: ")).unwrap_or_default();
    format!("{line}{}", error.message().lines().collect::<Vec<_>>().join(" "))
}

/// The URL of the command line, the environment or the file, in this order.
fn webhook_url(
    given: Option<String>,
    environment: &BTreeMap<String, String>,
    file: Option<String>,
) -> Result<Option<String>, String> {
    let (name, url) = match (given, environment.get(environment::WEBHOOK)) {
        (None, Some(url)) => (environment::WEBHOOK, Some(url.clone())),
        (given, _) => ("webhook-url", given.or(file)),
    };
    let Some(text) = &url else { return Ok(None) };
    check_url(text, true).map_err(|problem| format!("{name} {problem}"))?;
    Ok(url)
}

/// The origins of the command line, the environment or the file, in this order. Those of one place replace those of the
/// next.
fn return_origins(
    given: Vec<String>,
    environment: &BTreeMap<String, String>,
    file: Vec<String>,
) -> Result<Vec<String>, String> {
    for origin in given.iter().chain(&file) {
        if origin.contains(',') || AllowedOrigins::parse(origin).is_err() {
            return Err(format!(
                "return-origin {origin} must be an https origin, or an http origin of a loopback address"
            ));
        }
    }
    let listed = environment.get(environment::ORIGINS).map(String::as_str).unwrap_or_default();
    AllowedOrigins::parse(listed).map_err(|error| format!("{} {error}", environment::ORIGINS))?;
    let listed = listed.split(',').map(str::trim).filter(|origin| !origin.is_empty()).map(str::to_owned).collect();
    Ok([given, listed, file].into_iter().find(|origins| !origins.is_empty()).unwrap_or_default())
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
    fn without_options_the_defaults_are_in_force() {
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
        assert_eq!(of_environment.return_origins, ["https://a.example", "https://b.example"]);
        assert!(of_environment.no_return_url);
        let return_url = [("DEFAULT_RETURN_URL", "https://a.example/")];
        assert!(!chosen(directory.path(), &[], &return_url).unwrap().no_return_url);
        assert!(chosen(directory.path(), &["--no-return-url"], &return_url).unwrap().no_return_url);

        let arguments = [
            "--port=9200",
            "--webhook-url=http://127.0.0.1:3/cli",
            "--return-origin=http://localhost:3",
            "--return-origin=http://localhost:4",
            "--no-return-url=false",
            "--verify-signatures=false",
        ];
        let of_cli = chosen(directory.path(), &arguments, &environment).unwrap();
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
        for url in ["http://example.com/", "https://10.0.0.1/", "http://u:p@127.0.0.1/", "ftp://127.0.0.1/", "x"] {
            assert!(refused(&["--webhook-url", url], &[]).starts_with("webhook-url "), "{url}");
            assert!(refused(&[], &[("WEBHOOK_URL", url)]).starts_with("WEBHOOK_URL "), "{url}");
        }
        for origin in ["http://example.com", "https://a.example/path", "https://a.example,https://b.example", "x"] {
            assert!(refused(&["--return-origin", origin], &[]).starts_with("return-origin "), "{origin}");
        }
        assert!(refused(&[], &[("ALLOWED_RETURN_ORIGINS", "x")]).starts_with("ALLOWED_RETURN_ORIGINS "));
    }

    #[test]
    fn help_explains_every_option_in_one_line() {
        for argument in Arguments::command().get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty() && help.lines().count() == 1, "{}: {help}", argument.get_id());
        }
    }
}
