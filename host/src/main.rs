//! The binary: see [`betrace::cli`].

fn main() -> std::process::ExitCode {
    betrace::cli::main()
}
