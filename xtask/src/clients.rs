//! The real clients that the tests drive: the OpenTelemetry SDKs for Python and Node, and a Collector built from its
//! modules. They live in `target/clients` and are installed once for each content of their lock files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::{Failure, answers, root, run};
use crate::test::left_out;

/// Where each client is, if it could be installed.
pub(crate) struct Clients {
    python: Option<PathBuf>,
    node: Option<PathBuf>,
    collector: Option<PathBuf>,
}

impl Clients {
    /// Tells the tests where the clients are; a test whose client is missing says so and passes.
    pub(crate) fn announce(&self, command: &mut Command) {
        for (name, path) in [
            ("BETRACE_TEST_PYTHON", &self.python),
            ("BETRACE_TEST_NODE", &self.node),
            ("BETRACE_TEST_COLLECTOR", &self.collector),
        ] {
            match path {
                Some(path) => command.env(name, path),
                None => command.env_remove(name),
            };
        }
    }

    /// The last line of a run says again what it did not test.
    pub(crate) fn report(&self) {
        for (name, path) in [
            ("Python SDK", &self.python),
            ("Node SDK", &self.node),
            ("Collector", &self.collector),
        ] {
            if path.is_none() {
                eprintln!("xtask: not tested: the {name}");
            }
        }
    }
}

/// Installs all three; one that can't be is left out, which is an error under CI.
pub(crate) fn install() -> Result<Clients, Failure> {
    let sources = root().join("host/tests/clients");
    let home = root().join("target/clients");
    Ok(Clients {
        python: python(&sources.join("python"), &home.join("python"))?,
        node: node(&sources.join("node"), &home.join("node"))?,
        collector: collector_alone()?,
    })
}

/// The Collector's executable, if it could be built.
pub(crate) fn collector_alone() -> Result<Option<PathBuf>, Failure> {
    let source = root().join("host/tests/clients/collector");
    collector(&source, &root().join("target/clients/collector"))
}

/// A virtual environment with the SDK; the answer is its interpreter.
fn python(source: &Path, home: &Path) -> Result<Option<PathBuf>, Failure> {
    if !answers("python3", "--version") {
        left_out("the Python SDK", "`python3` is missing")?;
        return Ok(None);
    }
    let interpreter = home.join("bin/python");
    once(home, &[source.join("requirements.txt")], || {
        run(Command::new("python3").args(["-m", "venv"]).arg(home))?;
        run(Command::new(&interpreter)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ])
            .arg(source.join("requirements.txt")))
    })?;
    Ok(Some(interpreter))
}

/// A folder with `node_modules`; the answer is that folder.
fn node(source: &Path, home: &Path) -> Result<Option<PathBuf>, Failure> {
    if !answers("node", "--version") || !answers("npm", "--version") {
        left_out("the Node SDK", "`node` or `npm` is missing")?;
        return Ok(None);
    }
    let inputs = [
        source.join("package.json"),
        source.join("package-lock.json"),
    ];
    once(home, &inputs, || {
        for input in &inputs {
            copy(input, home)?;
        }
        run(Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(home))
    })?;
    copy(&source.join("send.mjs"), home)?;
    Ok(Some(home.to_path_buf()))
}

/// A Collector with the receivers and exporters that the tests need; the answer is its executable.
fn collector(source: &Path, home: &Path) -> Result<Option<PathBuf>, Failure> {
    if !answers("go", "version") {
        left_out("the Collector", "`go` is missing")?;
        return Ok(None);
    }
    let manifest = source.join("builder.yaml");
    let version = builder_version(&manifest)?;
    let executable = home.join("otelcol");
    once(home, std::slice::from_ref(&manifest), || {
        run(Command::new("go")
            .args([
                "run",
                &format!("go.opentelemetry.io/collector/cmd/builder@v{version}"),
                "--config",
            ])
            .arg(&manifest)
            .env("CGO_ENABLED", "0")
            .current_dir(home))?;
        fs::rename(home.join("build/otelcol"), &executable).map_err(|error| {
            Failure::new(format!(
                "the builder left no {}: {error}",
                executable.display()
            ))
        })
    })?;
    Ok(Some(executable))
}

/// The builder has the version of the modules it builds, which stands in the manifest's first line.
fn builder_version(manifest: &Path) -> Result<String, Failure> {
    read(manifest)?
        .lines()
        .find_map(|line| line.strip_prefix("# collector "))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| {
            Failure::new(format!(
                "{} has no line `# collector VERSION`",
                manifest.display()
            ))
        })
}

/// Runs `install` unless `home` was made from the same `inputs` before. A half-made `home` is made anew.
fn once(
    home: &Path,
    inputs: &[PathBuf],
    install: impl FnOnce() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let wanted = inputs
        .iter()
        .map(|input| read(input))
        .collect::<Result<Vec<_>, _>>()?
        .join("\n");
    let stamp = home.join("installed-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", home.display()));
    if home.exists() {
        fs::remove_dir_all(home).map_err(failed)?;
    }
    fs::create_dir_all(home).map_err(failed)?;
    install()?;
    fs::write(&stamp, wanted).map_err(failed)
}

fn copy(file: &Path, folder: &Path) -> Result<(), Failure> {
    let name = file.file_name().unwrap_or_default();
    fs::copy(file, folder.join(name))
        .map(drop)
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
