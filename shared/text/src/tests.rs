//! Holds the files of all languages against the methods of [`Texts`], and the methods against their callers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    time::Duration,
};

use fluent_bundle::FluentValue;
use fluent_syntax::{
    ast::{Entry, Expression, InlineExpression, Pattern, PatternElement},
    parser,
};
use jiff::civil::date;
use maud::Render;

use crate::{Language, Name, Text, Texts, common, mail, pages, texts::sources};

/// What a message names: variables, and other messages.
#[derive(Debug, Default, Clone)]
struct Content {
    variables: BTreeSet<String>,
    messages: BTreeSet<String>,
}

fn methods() -> impl Iterator<Item = (&'static str, &'static [(&'static str, &'static str)])> {
    [common::MESSAGES, pages::MESSAGES, mail::MESSAGES].into_iter().flatten().copied()
}

/// The messages of a language, as its files have them.
fn messages(language: Language) -> BTreeMap<String, Content> {
    let mut found = BTreeMap::new();
    for source in sources(language) {
        let resource = parser::parse(source).unwrap_or_else(|(_, errors)| panic!("{language:?}: {errors:?}"));
        for entry in &resource.body {
            let Entry::Message(message) = entry else { continue };
            let id = message.id.name.to_owned();
            let mut content = Content::default();
            read_pattern(message.value.as_ref().expect("a message has a value"), &mut content);
            assert!(found.insert(id.clone(), content).is_none(), "{language:?} has {id} twice");
        }
    }
    found
}

fn read_pattern(pattern: &Pattern<&str>, content: &mut Content) {
    for element in &pattern.elements {
        let PatternElement::Placeable { expression } = element else { continue };
        match expression {
            Expression::Inline(inline) => read_inline(inline, content),
            Expression::Select { selector, variants } => {
                read_inline(selector, content);
                variants.iter().for_each(|variant| read_pattern(&variant.value, content));
            }
        }
    }
}

fn read_inline(inline: &InlineExpression<&str>, content: &mut Content) {
    match inline {
        InlineExpression::VariableReference { id } => {
            content.variables.insert(id.name.to_owned());
        }
        InlineExpression::MessageReference { id, attribute: None } => {
            content.messages.insert(id.name.to_owned());
        }
        InlineExpression::FunctionReference { arguments, .. } => {
            arguments.positional.iter().for_each(|argument| read_inline(argument, content));
        }
        other => panic!("the tests do not know {other:?}"),
    }
}

/// The variables of a message and of the messages that it names.
fn variables_of(id: &str, messages: &BTreeMap<String, Content>) -> BTreeSet<String> {
    let content = &messages[id];
    let named = content.messages.iter().flat_map(|named| variables_of(named, messages));
    content.variables.iter().cloned().chain(named).collect()
}

#[test]
fn every_message_exists_in_every_language_with_the_same_variables() {
    for language in Language::ALL {
        let messages = messages(language);
        for (id, variables) in methods() {
            assert!(messages.contains_key(id), "{language:?} has no {id}");
            let declared: BTreeSet<String> = variables.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(variables_of(id, &messages), declared, "{language:?}: the variables of {id}");
        }
    }
}

#[test]
fn no_language_has_a_message_that_is_not_used() {
    let methods: BTreeSet<&str> = methods().map(|(id, _)| id).collect();
    for language in Language::ALL {
        let messages = messages(language);
        let named: BTreeSet<&str> =
            messages.values().flat_map(|content| &content.messages).map(String::as_str).collect();
        let unused: Vec<&String> =
            messages.keys().filter(|id| !methods.contains(id.as_str()) && !named.contains(id.as_str())).collect();
        assert!(unused.is_empty(), "{language:?}: {unused:?}");
    }
}

#[test]
fn every_message_is_called() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut callers = String::new();
    for folder in ["functions", "shared/core/src", "shared/text/src"] {
        read_sources(&root.join(folder), &mut callers);
    }
    let uncalled: Vec<&str> = methods().map(|(id, _)| id).filter(|id| !callers.contains(&format!(".{id}("))).collect();
    assert!(uncalled.is_empty(), "{uncalled:?}");
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}

/// The values of a variable that a text can depend on: names that are known and not, and each category of plurals.
fn values(kind: &str) -> Vec<FluentValue<'static>> {
    match kind {
        "Name<'_>" => vec![Name::Known("Meadow Bank").into(), Name::Unknown.into()],
        "&Text" => vec![(&Text("23".to_owned())).into(), (&Text("1".to_owned())).into()],
        "&str" => vec!["CODE".into()],
        "i8" => (1..=31).map(|number: i8| number.into()).collect(),
        "i16" => vec![2026_i16.into()],
        "u32" | "u64" => [0_u32, 1, 2, 3, 5, 11, 21, 1000, 1_000_000].into_iter().map(Into::into).collect(),
        other => panic!("the tests do not know values of the type {other}"),
    }
}

#[test]
fn every_message_can_be_formatted_with_every_kind_of_value() {
    for language in Language::ALL {
        let texts = Texts::of(language);
        for (id, variables) in methods() {
            let candidates: Vec<_> = variables.iter().map(|(name, kind)| (*name, values(kind))).collect();
            let most = candidates.iter().map(|(_, values)| values.len()).max().unwrap_or(1);
            for index in 0..most {
                let arguments: Vec<_> =
                    candidates.iter().map(|(name, values)| (*name, values[index % values.len()].clone())).collect();
                // A month beyond December does not occur.
                if id == "calendar_date" && index >= 12 {
                    break;
                }
                let text = texts.format(id, &arguments).to_string();
                assert!(!text.is_empty() && !text.contains(['{', '}', '\n']), "{language:?} {id}: {text}");
                assert_eq!(text, text.trim(), "{language:?} {id}");
                for (name, value) in &arguments {
                    if let (FluentValue::String(value), false) = (value, *name == "month") {
                        assert!(
                            text.contains(value.trim_matches(['\u{2068}', '\u{2069}'])),
                            "{language:?} {id}: {text}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn a_date_has_the_form_of_its_language() {
    let told = |day| Language::ALL.map(|language| Texts::of(language).date(day).to_string());
    assert_eq!(
        told(date(2026, 11, 23)),
        [
            "23 November 2026",
            "23 november 2026",
            "23. November 2026",
            "23 novembre 2026",
            "23 de noviembre de 2026",
            "23 de novembro de 2026",
            "23 novembre 2026",
        ]
    );
    assert_eq!(
        told(date(2027, 3, 1)),
        [
            "1 March 2027",
            "1 maart 2027",
            "1. März 2027",
            "1er mars 2027",
            "1 de marzo de 2027",
            "1 de março de 2027",
            "1º marzo 2027",
        ]
    );
}

#[test]
fn a_list_has_the_form_of_its_language() {
    let told = |language, names: &[&str]| {
        let texts = Texts::of(language);
        let names: Vec<Text> = names.iter().map(|name| texts.service_start(Name::Known(name))).collect();
        texts.list(&names).to_string()
    };
    assert_eq!(told(Language::English, &[]), "");
    assert_eq!(told(Language::English, &["A"]), "A");
    assert_eq!(told(Language::English, &["A", "B"]), "A and B");
    assert_eq!(told(Language::German, &["A", "B", "C", "D"]), "A, B, C und D");
    assert_eq!(told(Language::Spanish, &["A", "B", "C"]), "A, B y C");
    for (last, and) in [("Ibercaja", 'e'), ("Íntegra", 'e'), ("Hipotecaria", 'e'), ("Hierro", 'y'), ("Iota", 'y')] {
        assert_eq!(told(Language::Spanish, &["A", last]), format!("A {and} {last}"));
        assert_eq!(told(Language::Spanish, &["A", "B", last]), format!("A, B {and} {last}"));
    }
}

#[test]
fn a_waiting_time_is_told_in_minutes_rounded_up_and_below_one_in_seconds() {
    for (seconds, english, french) in [
        (0, "1 second", "1 seconde"),
        (1, "1 second", "1 seconde"),
        (59, "59 seconds", "59 secondes"),
        (60, "1 minute", "1 minute"),
        (61, "2 minutes", "2 minutes"),
        (360, "6 minutes", "6 minutes"),
    ] {
        let told = |language| Texts::of(language).waiting_time(Duration::from_secs(seconds)).to_string();
        assert_eq!((told(Language::English), told(Language::French)), (english.to_owned(), french.to_owned()));
    }
}

#[test]
fn a_name_is_isolated_in_html_and_stands_alone_in_plain_text() {
    let texts = Texts::of(Language::English);
    let text = texts.reconnect_title(Name::Known("בנק \u{202e}<b>"));
    assert_eq!(text.render().into_string(), "Reconnect <bdi>בנק &lt;b&gt;</bdi>");
    assert_eq!(text.to_string(), "Reconnect בנק <b>");
}

#[test]
fn a_service_without_a_known_name_is_named_in_the_grammar_of_the_language() {
    let told = |message: fn(&Texts) -> Text| Language::ALL.map(|language| message(Texts::of(language)).to_string());
    assert_eq!(
        told(|texts| texts.reconnect_title(Name::Unknown)),
        [
            "Reconnect this service",
            "Verbind deze dienst opnieuw",
            "Diesen Dienst neu verbinden",
            "Reconnecter ce service",
            "Vuelva a conectar este servicio",
            "Restabeleça a ligação a este serviço",
            "Ricollega questo servizio",
        ]
    );
    assert_eq!(
        told(|texts| texts.reconnect_button(Name::Unknown)),
        [
            "Reconnect this service",
            "Verbind deze dienst opnieuw",
            "Diesen Dienst neu verbinden",
            "Reconnecter ce service",
            "Volver a conectar este servicio",
            "Restabelecer a ligação a este serviço",
            "Ricollega questo servizio",
        ]
    );
    assert_eq!(
        told(|texts| texts.renew_button(Name::Unknown)),
        [
            "Renew the connection to this service",
            "Vernieuw de verbinding met deze dienst",
            "Verbindung zu diesem Dienst erneuern",
            "Renouveler la connexion à ce service",
            "Renovar la conexión con este servicio",
            "Renovar a ligação a este serviço",
            "Rinnova il collegamento con questo servizio",
        ]
    );
    assert_eq!(
        told(|texts| texts.postpone_question(Name::Unknown)),
        [
            "Reconnect this service later?",
            "Deze dienst later opnieuw verbinden?",
            "Diesen Dienst später neu verbinden?",
            "Reconnecter ce service plus tard ?",
            "¿Volver a conectar este servicio más tarde?",
            "Restabelecer a ligação a este serviço mais tarde?",
            "Vuoi ricollegare questo servizio più tardi?",
        ]
    );
    assert_eq!(
        told(|texts| texts.back_button(Name::Unknown)),
        [
            "Back to the application",
            "Terug naar de toepassing",
            "Zurück zu der Anwendung",
            "Retourner à l’application",
            "Volver a la aplicación",
            "Voltar à aplicação",
            "Torna all’applicazione",
        ]
    );
    // A service whose name is a number is not mistaken for one without a name.
    assert_eq!(Texts::of(Language::English).service_start(Name::Known("0")).to_string(), "0");
}
