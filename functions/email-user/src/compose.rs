//! The subject, the plain text and the HTML of a mail. Pure. No images, no tracking, no address of another site.

use jiff::{Timestamp, tz::TimeZone};
use maud::{DOCTYPE, Markup, html};
use reauth_core::web::page::Branding;
use reauth_domain::{Target, contact::PersonName};
use reauth_text::{Name, Text, Texts};
use url::Url;

use crate::overview::{Connection, Open, Overview};

/// Widths and colours that mail programs show as they are. Without colours of its own, the text follows the dark mode.
const FRAME: &str =
    "max-width:36em;margin:0 auto;padding:16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif";
const BUTTON: &str = "display:inline-block;padding:12px 20px;border-radius:6px;text-decoration:none;font-weight:600";
const SMALL: &str = "font-size:14px";

/// A composed mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
    unsubscribe_url: String,
}

impl Mail {
    /// The headers with which a mail program offers to unsubscribe with one request (RFC 8058).
    pub(crate) fn headers(&self) -> [(&'static str, String); 2] {
        [
            ("List-Unsubscribe", format!("<{}>", self.unsubscribe_url)),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()),
        ]
    }
}

/// What a mail is composed from.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) texts: &'a Texts,
    pub(crate) time_zone: &'a TimeZone,
    pub(crate) name: Option<&'a PersonName>,
    pub(crate) branding: &'a Branding,
    pub(crate) overview: &'a Overview,
    /// The page of the reconnect link. `None` if mails contain no links, or the link has expired.
    pub(crate) page: Option<Url>,
    /// Whether the mail contains links at all.
    pub(crate) links: bool,
    pub(crate) unsubscribe_url: Url,
}

/// A part of a mail, which is written as plain text and as HTML.
enum Block {
    Paragraph(Text),
    List(Vec<Text>),
    /// The label of the button, and the line before the address in plain text.
    Button {
        label: Text,
        line: Text,
        url: Url,
    },
    Link {
        label: Text,
        url: Url,
    },
    Small(Text),
}

impl Draft<'_> {
    pub(crate) fn compose(&self) -> Mail {
        let blocks = self.blocks();
        Mail {
            subject: self.subject().to_string(),
            text: plain(&blocks),
            html: self.html(&blocks).into_string(),
            unsubscribe_url: self.unsubscribe_url.to_string(),
        }
    }

    fn application(&self) -> Name<'_> {
        self.branding.application()
    }

    /// Names the service, so that the reader recognizes the mail.
    fn subject(&self) -> Text {
        let (texts, overview) = (self.texts, self.overview);
        let more = |list: &[Open]| list.len().saturating_sub(1) as u64;
        match (overview.ended.as_slice(), overview.ends.as_slice(), overview.connected.as_slice()) {
            ([one], ..) => texts.mail_subject_ended(name(one)),
            ([first, ..], ..) => texts.mail_subject_ended_more(name(first), more(&overview.ended)),
            ([], [one], _) => texts.mail_subject_ends(name(one)),
            ([], [first, ..], _) => texts.mail_subject_ends_more(name(first), more(&overview.ends)),
            ([], [], [first, _, ..]) => texts.mail_subject_connected_more(name(first), more(&overview.connected)),
            ([], [], [one]) => texts.mail_subject_connected(name(one)),
            // Nothing is written about nothing.
            ([], [], []) => texts.mail_subject_connected(Name::Unknown),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let (texts, overview) = (self.texts, self.overview);
        let mut blocks = vec![Block::Paragraph(texts.mail_greeting(self.name.map(PersonName::as_str).into()))];
        let (dead, ended): (Vec<&Open>, Vec<&Open>) =
            overview.ended.iter().partition(|open| open.connection == Connection::Digime { recoverable: false });
        if !ended.is_empty() {
            blocks.extend(list(ended.iter().map(|open| self.ended(open)).collect()));
            blocks.push(Block::Paragraph(texts.mail_reconnect(ended.len() as u64, self.application())));
        }
        if !overview.ends.is_empty() {
            blocks.extend(list(overview.ends.iter().map(|open| self.ends(open)).collect()));
            blocks.push(Block::Paragraph(texts.mail_renew(overview.ends.len() as u64, self.application())));
        }
        if !ended.is_empty() || !overview.ends.is_empty() {
            self.add_way(&mut blocks);
        }
        if !dead.is_empty() {
            blocks.push(Block::Paragraph(texts.mail_connect_again(self.application())));
        }
        if !overview.connected.is_empty() {
            blocks.extend(list(overview.connected.iter().map(|open| self.connected(open)).collect()));
            blocks.push(Block::Paragraph(texts.connected_text(self.application())));
        }
        self.add_end(&mut blocks);
        blocks
    }

    fn ended(&self, open: &Open) -> Text {
        match &open.connection {
            Connection::Service(service) => self.texts.mail_ended(service.as_deref().into(), &self.date(open.at)),
            Connection::Digime { .. } => self.texts.mail_ended_digime(self.application(), &self.date(open.at)),
        }
    }

    fn ends(&self, open: &Open) -> Text {
        self.texts.mail_ends(name(open), &self.date(open.at))
    }

    fn connected(&self, open: &Open) -> Text {
        self.texts.done_service(name(open))
    }

    fn date(&self, at: Timestamp) -> Text {
        self.texts.date(at.to_zoned(self.time_zone.clone()).date())
    }

    /// How to reconnect: by the page, or in the application.
    fn add_way(&self, blocks: &mut Vec<Block>) {
        let (texts, mut open) = (self.texts, self.overview.open());
        let only = open.next().filter(|_| open.next().is_none());
        let Some(page) = &self.page else {
            blocks.push(Block::Paragraph(texts.mail_open_application(self.application())));
            if !self.links {
                blocks.push(Block::Small(texts.mail_no_link()));
            }
            blocks.push(Block::Small(texts.mail_no_password(self.application())));
            return;
        };
        let label = match only.map(|only| (&only.connection, only.episode.is_some())) {
            Some((Connection::Service(service), true)) => texts.reconnect_button(service.as_deref().into()),
            Some((Connection::Service(service), false)) => texts.renew_button(service.as_deref().into()),
            Some((Connection::Digime { .. }, _)) => texts.digime_button(),
            None => texts.mail_page_button(),
        };
        blocks.push(Block::Button { label, line: texts.mail_page(), url: page.clone() });
        blocks.push(Block::Small(texts.mail_no_password(self.application())));
        // A choice is about one account: with several, the page offers it for each.
        if let Some(Open { target: Target::Account(account), episode: Some(_), .. }) = only {
            for (label, choice) in [(texts.postpone_button(), "postpone"), (texts.dismiss_button(), "dismiss")] {
                let mut url = page.clone();
                // Another account may have ended when the user follows the link.
                url.query_pairs_mut().append_pair("choose", choice).append_pair("account", account.as_str());
                blocks.push(Block::Link { label, url });
            }
        }
    }

    /// Who writes and why, whom to turn to, and how to get no more mails.
    fn add_end(&self, blocks: &mut Vec<Block>) {
        let texts = self.texts;
        blocks.push(Block::Small(texts.mail_why(self.application())));
        if !self.links {
            blocks.push(Block::Small(texts.mail_stop_without_link(self.application())));
            return;
        }
        if let Some(url) = self.branding.support_url() {
            blocks.push(Block::Link { label: texts.support_link(self.application()), url: url.clone() });
        }
        blocks.push(Block::Link { label: texts.mail_stop(), url: self.unsubscribe_url.clone() });
    }

    fn html(&self, blocks: &[Block]) -> Markup {
        let language = self.texts.language();
        html! {
            (DOCTYPE)
            html lang=(language.tag()) dir=(language.dir()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width";
                    meta name="color-scheme" content="light dark";
                    // No elements within a title.
                    title { (self.subject().to_string()) }
                }
                body {
                    div style=(FRAME) { @for block in blocks { (self.markup(block)) } }
                }
            }
        }
    }

    fn markup(&self, block: &Block) -> Markup {
        html! {
            @match block {
                Block::Paragraph(text) => p { (text) },
                Block::List(rows) => ul { @for row in rows { li { (row) } } },
                Block::Button { label, url, .. } => p { a href=(url) style=(self.button()) { (label) } },
                Block::Link { label, url } => p style=(SMALL) { a href=(url) { (label) } },
                Block::Small(text) => p style=(SMALL) { (text) },
            }
        }
    }

    /// The style of the button, in the application's colour.
    fn button(&self) -> String {
        let color = self.branding.color();
        format!("{BUTTON};background:{color};color:{}", color.text_on())
    }
}

fn name(open: &Open) -> Name<'_> {
    match &open.connection {
        Connection::Service(service) => service.as_deref().into(),
        Connection::Digime { .. } => Name::Known("digi.me"),
    }
}

/// One sentence is a paragraph, several are a list.
fn list(mut rows: Vec<Text>) -> Option<Block> {
    if rows.len() > 1 { Some(Block::List(rows)) } else { rows.pop().map(Block::Paragraph) }
}

fn plain(blocks: &[Block]) -> String {
    let text = |block: &Block| match block {
        Block::Paragraph(text) | Block::Small(text) => text.to_string(),
        Block::List(rows) => rows.iter().map(|row| format!("- {row}")).collect::<Vec<_>>().join("\n"),
        Block::Button { line, url, .. } => format!("{line}\n{url}"),
        Block::Link { label, url } => format!("{label}:\n{url}"),
    };
    let blocks: Vec<_> = blocks.iter().map(text).collect();
    blocks.join("\n\n") + "\n"
}
