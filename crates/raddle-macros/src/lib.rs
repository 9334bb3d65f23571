//! `#[raddle::main]` and `#[raddle::test]`: a function whose body runs as a raddle thread.
//!
//! Both move the body into an inner function, which a call of `raddle::runtime` runs; settings become calls of its builder.
//! Whatever can't be right is an error at the place where it stands.
#![deny(unsafe_code)]

use proc_macro::TokenStream;
use proc_macro2::TokenStream as Tokens;
use quote::quote;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{ItemFn, MetaNameValue, Token, parse_macro_input};

/// Runs the body of `main` as a raddle thread; the program ends with it.
///
/// ```ignore
/// #[raddle::main]
/// fn main() -> std::io::Result<()> {
///     raddle::thread::spawn(|| println!("hello")).join().unwrap();
///     Ok(())
/// }
/// ```
///
/// Settings, each as the method of `raddle::runtime::Builder` of that name takes it: `#[raddle::main(cores = 2)]`,
/// `slice = Duration::from_millis(1)`, `preemption = false`, `stack_size = 1 << 20`, `signal = libc::SIGUSR2`,
/// `timer_slack = Duration::from_micros(500)`, `trace = "out.json"`, `dump_signal = None`.
///
/// The program's exit code is what `main` returns, and 101 after a panic, as without raddle; 1 where the runtime can't start, after one line
/// that says why.
#[proc_macro_attribute]
pub fn main(settings: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemFn);
    expand(settings, item, Kind::Main).unwrap_or_else(|error| error.to_compile_error()).into()
}

/// A test whose body runs as a raddle thread. Settings as for `main`; the first test of a process to start decides.
#[proc_macro_attribute]
pub fn test(settings: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as ItemFn);
    expand(settings, item, Kind::Test).unwrap_or_else(|error| error.to_compile_error()).into()
}

#[derive(Clone, Copy)]
enum Kind {
    Main,
    Test,
}

fn expand(settings: TokenStream, item: ItemFn, kind: Kind) -> syn::Result<Tokens> {
    let signature = &item.sig;
    if let Some(asyncness) = &signature.asyncness {
        let what = "raddle runs plain blocking functions: remove `async`";
        return Err(syn::Error::new_spanned(asyncness, what));
    }
    if !signature.inputs.is_empty() {
        return Err(syn::Error::new_spanned(&signature.inputs, "this function takes no arguments"));
    }
    let calls = builder_calls(settings)?;
    let (attributes, visibility, name) = (&item.attrs, &item.vis, &signature.ident);
    let (output, body) = (&signature.output, &item.block);
    let inner = quote! { fn body() #output #body };
    let builder = quote! { ::raddle::runtime::Builder::new() #(#calls)* };
    Ok(match kind {
        Kind::Main => quote! {
            #(#attributes)*
            #visibility fn #name() -> ::std::process::ExitCode {
                #inner
                ::raddle::runtime::run_main(#builder, body)
            }
        },
        Kind::Test => quote! {
            #[test]
            #(#attributes)*
            #visibility fn #name() {
                #inner
                ::raddle::runtime::run_test(#builder, body)
            }
        },
    })
}

/// `cores = 2, slice = x` as `.cores(2).slice(x)`.
fn builder_calls(settings: TokenStream) -> syn::Result<Vec<Tokens>> {
    const KNOWN: [&str; 8] = [
        "cores",
        "slice",
        "preemption",
        "stack_size",
        "signal",
        "timer_slack",
        "trace",
        "dump_signal",
    ];
    let settings = Punctuated::<MetaNameValue, Token![,]>::parse_terminated.parse(settings)?;
    settings
        .iter()
        .map(|setting| match setting.path.get_ident() {
            Some(name) if KNOWN.iter().any(|known| name == known) => {
                let value = &setting.value;
                Ok(quote! { .#name(#value) })
            }
            _ => {
                let what = format!("unknown setting; known are {}", KNOWN.join(", "));
                Err(syn::Error::new_spanned(&setting.path, what))
            }
        })
        .collect()
}
