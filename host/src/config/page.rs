//! The settings as a page: what `docs/configuration.md` holds between its markers.

use std::fmt::Write;

use super::setting::{Group, Kind, Setting};
use super::settings::SETTINGS;

/// A Markdown table for each group of settings.
pub fn table() -> String {
    let mut page = String::new();
    for group in Group::ALL {
        let _ = write!(
            page,
            "### {}\n\n| setting | default | from, to | what it is |\n| --- | --- | --- | --- |\n",
            group.title()
        );
        for setting in SETTINGS.iter().filter(|setting| setting.group == group) {
            let _ = writeln!(
                page,
                "| `{}` | `{}` | {} | {} |",
                setting.name,
                setting.default,
                range(setting),
                setting.about
            );
        }
        page.push('\n');
    }
    page
}

fn range(setting: &Setting) -> String {
    match (setting.kind, setting.kind.range()) {
        (Kind::Address, _) => "host:port, `off`".to_owned(),
        (Kind::Paths, _) => "paths".to_owned(),
        (Kind::Signals, _) => "`stdout`, a file".to_owned(),
        (Kind::Choice { of }, _) => of
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        (Kind::Folder, _) => "a folder, `off`".to_owned(),
        (Kind::Endpoint, _) => "`http://host:port`, `off`".to_owned(),
        (kind, Some((least, most))) => format!("{}, {}", kind.show(least), kind.show(most)),
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const BEGIN: &str = "<!-- settings: made from host/src/config/settings.rs, see page.rs -->\n\n";
    const END: &str = "<!-- end of settings -->";

    /// `BLESS=1 cargo test -p betrace config::page` writes the tables anew.
    #[test]
    fn the_documentation_lists_every_setting_and_its_default() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
        let page = std::fs::read_to_string(&path).expect("docs/configuration.md is there");
        let (before, rest) = page
            .split_once(BEGIN)
            .expect("it has the marker where settings begin");
        let (settings, after) = rest
            .split_once(END)
            .expect("it has the marker where settings end");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table()))
                .expect("it can be written");
            return;
        }
        assert_eq!(
            settings,
            table(),
            "docs/configuration.md is not what the table says: run this test with BLESS=1"
        );
    }
}
