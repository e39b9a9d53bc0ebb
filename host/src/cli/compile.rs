//! `betrace compile`: rules to WebAssembly components, for shipping or for `inspect`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use betrace_dsl::diagnostic::Level;
use clap::Args;

use super::failure::{Failure, Outcome, note};
use crate::rules::compile::{SOURCE_BYTES, read};
use crate::sinks::paint::Paint;

#[derive(Debug, Args)]
#[command(after_help = "\
A file with several rules needs `--rule ID`, or a folder as OUT, which gets an ID.wasm for each. A folder that is not \
there is made where OUT ends in `/`.

Exit code: 0 written, 1 the file has mistakes, 2 an error.

Examples:
  betrace compile payment-fraud-check.betrace -o fraud.wasm
  betrace compile payments.betrace --rule refunds -o refunds.wasm
  betrace compile payments.betrace -o compiled/")]
pub struct CompileArgs {
    /// A rule file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The component to write, or a folder
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The rule to compile, of several in the file
    #[arg(long, value_name = "ID")]
    rule: Option<String>,
}

pub fn run(args: &CompileArgs) -> Result<Outcome, Failure> {
    let path = args.file.display();
    if has_extension(&args.file, "wasm") {
        return Err(Failure::new(format!("{path} is already compiled"))
            .help("`betrace inspect` shows what is in it"));
    }
    refuse_source(&args.file, &args.output)?;
    let source = read(&args.file, SOURCE_BYTES)
        .map_err(|error| Failure::of(&error).help("name a `.betrace` file that you may read"))?;
    let stem = args.file.file_stem().unwrap_or_default().to_string_lossy();
    let output = betrace_dsl::compile(&stem, &source);
    let text = String::from_utf8_lossy(&source);
    for diagnostic in &output.diagnostics {
        note(&diagnostic.render(&path.to_string(), &text, Paint::for_stderr().color));
    }
    if output
        .diagnostics
        .iter()
        .any(|diagnostic| diagnostic.level == Level::Error)
    {
        return Ok(Outcome::Found);
    }
    let mut rules = output.rules;
    if let Some(wanted) = &args.rule {
        let ids: Vec<String> = rules.iter().map(|rule| format!("`{}`", rule.id)).collect();
        rules.retain(|rule| rule.id == *wanted);
        if rules.is_empty() {
            return Err(Failure::new(format!("{path} has no rule `{wanted}`"))
                .help(format!("it has {}", ids.join(", "))));
        }
    }
    let into_folder = args.output.is_dir() || ends_with_separator(&args.output);
    if !into_folder && rules.len() > 1 {
        return Err(Failure::new(format!(
            "{path} has {} rules, and {} is one file",
            rules.len(),
            args.output.display()
        ))
        .help("name one with `--rule ID`, or a folder with `-o FOLDER/`"));
    }
    if into_folder {
        make_folder(&args.output)?;
    }
    for rule in &rules {
        let target = if into_folder {
            args.output.join(format!("{}.wasm", file_name(&rule.id)?))
        } else {
            args.output.clone()
        };
        write(&target, &rule.component)?;
        note(&format!(
            "wrote {} ({} bytes): rule `{}`",
            target.display(),
            rule.component.len(),
            rule.id
        ));
    }
    Ok(Outcome::Quiet)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str()
        .as_encoded_bytes()
        .last()
        .is_some_and(|&last| std::path::is_separator(char::from(last)))
}

/// An id as the name of a file in the folder, and never of one elsewhere.
fn file_name(id: &str) -> Result<&str, Failure> {
    if id.starts_with('.') || id.chars().any(|c| std::path::is_separator(c) || c == '\0') {
        return Err(Failure::new(format!("the rule id `{id}` is no file name"))
            .help("name the file with `--rule` and `-o`"));
    }
    Ok(id)
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|its| its == extension)
}

/// A component must not take the place of a rule's source.
fn refuse_source(file: &Path, output: &Path) -> Result<(), Failure> {
    let real = |path: &Path| fs::canonicalize(path).ok();
    let same = real(file).is_some_and(|file| real(output) == Some(file));
    if same || (has_extension(output, "betrace") && !output.is_dir()) {
        return Err(Failure::new(format!(
            "{} is a rule's source, which a component would replace",
            output.display()
        ))
        .help("name the component `NAME.wasm`, or a folder with `-o FOLDER/`"));
    }
    Ok(())
}

/// Makes the folder of an OUT that says by its end that it is one.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| {
        Failure::new(format!(
            "can't make the folder {}: {error}",
            folder.display()
        ))
    })
}

/// Writes the whole file or none: who loads it while it is written must not see half a component.
fn write(target: &Path, component: &[u8]) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::new(format!("can't write {}: {error}", target.display()))
            .help("name a file that you may write")
    };
    // A link stays a link, and a device or a pipe is written to, never replaced.
    let target = match fs::metadata(target) {
        Ok(metadata) if metadata.is_file() => fs::canonicalize(target).map_err(failed)?,
        Ok(_) => return fs::write(target, component).map_err(failed),
        Err(_) => target.to_owned(),
    };
    let folder = match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        return Err(
            Failure::new(format!("there is no folder {}", folder.display()))
                .help("make it first, or name a folder with `-o FOLDER/`"),
        );
    }
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, and without the extension by which a host would load it.
    let partial = folder.join(format!(".{name}.{}.partial", std::process::id()));
    let written = fs::File::create_new(&partial)
        .and_then(|mut file| file.write_all(component))
        .and_then(|()| fs::rename(&partial, &target));
    written.map_err(|error| {
        if error.kind() != io::ErrorKind::AlreadyExists {
            let _ = fs::remove_file(&partial);
        }
        failed(error)
    })
}
