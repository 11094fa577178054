"""[sync]: copies of generated code in the source tree, for editors.

`buck2 run` on the sub-target copies the code; `buck2 test` fails with a diff if the
copies are stale. A file beside the copies lists them: only listed files are ever
overwritten or deleted.
"""

# Arguments: `write` or `check`, the folder, the destination, the list, the target.
_SH = """\
#!/bin/sh
set -eu
PATH=$(command -p getconf PATH)
mode=$1 from=$2 to=$3 list=$4 target=$5
[ -d "$to" ] || { echo "sync: there is no folder $to" >&2; exit 1; }
old= new=$(cd "$from" && find . -type f | sed 's|^[.]/||' | LC_ALL=C sort)
if [ -f "$list" ]; then old=$(grep -v '^#' "$list" || :); fi
listed() { printf '%s\\n' "$1" | grep -Fqx -e "$2"; }

# Lines are file names: nothing else splits them, and nothing expands them.
IFS='
'
set -f

if [ "$mode" = check ]; then
  stale=0
  for f in $new; do
    if [ -f "$to/$f" ]; then
      diff -u "$to/$f" "$from/$f" || stale=1
    else
      echo "missing: $f"
      stale=1
    fi
  done
  for f in $old; do
    if ! listed "$new" "$f" && [ -f "$to/$f" ]; then
      echo "no longer generated: $f"
      stale=1
    fi
  done
  if [ "$stale" = 0 ]; then exit 0; fi
  echo "The copies of $target are stale. Run: buck2 run '$target[sync]'"
  exit 1
fi

for f in $new; do
  if [ -e "$to/$f" ] && ! listed "$old" "$f" && ! cmp -s "$from/$f" "$to/$f"; then
    echo "sync: $to/$f was not written by $target; move it away first. Nothing was written." >&2
    exit 1
  fi
done
for f in $old; do
  if ! listed "$new" "$f" && [ -f "$to/$f" ]; then
    rm -f "$to/$f"
    echo "deleted $f"
  fi
done
mkdir -p "$(dirname "$list")"
{ echo "# Copied by: buck2 run '$target[sync]'"; printf '%s\\n' "$new"; } >"$list"
for f in $new; do
  if ! cmp -s "$from/$f" "$to/$f"; then
    mkdir -p "$(dirname "$to/$f")"
    rm -f "$to/$f"
    cp "$from/$f" "$to/$f"
    chmod u+w "$to/$f"
    echo "wrote $f"
  fi
done
"""

_CMD = """\
@echo off
setlocal EnableDelayedExpansion
set "PATH=%SystemRoot%\\System32"
set "mode=%~1"
set "from=%~f2"
set "to=%~f3"
set "list=%~f4"
set "target=%~5"
if not exist "%to%\\" (echo sync: there is no folder %to% 1>&2 & exit /b 1)
set "new=%TEMP%\\sync-%RANDOM%%RANDOM%.txt"
type nul > "%new%"
for /r "%from%" %%f in (*) do (
  set "f=%%f"
  set "f=!f:%from%\\=!"
  >> "%new%" echo !f:\\=/!
)
set "status=0"
if "%mode%" == "check" (
  for /f "usebackq delims=" %%f in ("%new%") do (
    set "f=%%f"
    set "f=!f:/=\\!"
    if exist "%to%\\!f!" (fc "%to%\\!f!" "%from%\\!f!" || set "status=1") else (echo missing: %%f& set "status=1")
  )
  if exist "%list%" for /f "usebackq eol=# delims=" %%f in ("%list%") do (
    set "f=%%f"
    set "f=!f:/=\\!"
    findstr /x /l /c:"%%f" "%new%" >nul || if exist "%to%\\!f!" (echo no longer generated: %%f& set "status=1")
  )
  if "!status!" == "1" echo The copies of %target% are stale. Run: buck2 run "%target%[sync]"
  goto end
)
for /f "usebackq delims=" %%f in ("%new%") do (
  set "f=%%f"
  set "f=!f:/=\\!"
  if exist "%to%\\!f!" (
    set "known="
    if exist "%list%" (findstr /x /l /c:"%%f" "%list%" >nul && set "known=1")
    if not defined known fc /b "%to%\\!f!" "%from%\\!f!" >nul || (
      echo sync: %to%\\!f! was not written by %target%; move it away first. Nothing was written. 1>&2
      set "status=1"
      goto end
    )
  )
)
if exist "%list%" for /f "usebackq eol=# delims=" %%f in ("%list%") do (
  set "f=%%f"
  set "f=!f:/=\\!"
  findstr /x /l /c:"%%f" "%new%" >nul || if exist "%to%\\!f!" (del /f /q "%to%\\!f!" & echo deleted %%f)
)
for %%d in ("%list%") do if not exist "%%~dpd" mkdir "%%~dpd"
> "%list%" echo # Copied by: buck2 run '%target%[sync]'
>> "%list%" type "%new%"
for /f "usebackq delims=" %%f in ("%new%") do (
  set "f=%%f"
  set "f=!f:/=\\!"
  fc /b "%from%\\!f!" "%to%\\!f!" >nul 2>nul || (
    for %%d in ("%to%\\!f!") do if not exist "%%~dpd" mkdir "%%~dpd"
    copy /y /b "%from%\\!f!" "%to%\\!f!" >nul || set "status=1"
    echo wrote %%f
  )
)
:end
del /f /q "%new%"
exit /b %status%
"""

def sync_attrs() -> dict[str, Attr]:
    """Returns the attributes that `sync` reads."""
    return {
        "sync_to": attrs.string(
            default = "",
            doc = "Folder in the cell to which `[sync]` copies the generated code; it must exist. The default is the root of the cell, so that code is beside its .proto file.",
        ),
    }

def sync(ctx: AnalysisContext, folder: Artifact) -> list[Provider]:
    """Returns the providers of a sub-target that copies a folder into the source tree.

    Args:
        ctx: of a rule with `sync_attrs`.
        folder: the folder.

    Returns:
        A DefaultInfo with the folder, a RunInfo that copies it, and an
        ExternalRunnerTestInfo that compares the copies with it.
    """
    windows = host_info().os.is_windows
    script = ctx.actions.write(
        "sync.cmd" if windows else "sync.sh",
        _CMD if windows else _SH,
        has_content_based_path = True,
        is_executable = True,
    )
    to = ctx.attrs.sync_to.strip("/")
    mark = "/".join([part for part in [to, ctx.label.package, ".{}.sync".format(ctx.label.name)] if part])

    def command(mode):
        return cmd_args(
            [] if windows else "/bin/sh",
            script,
            mode,
            folder,
            cmd_args(ctx.label.cell_root, "/" + to if to else "", delimiter = ""),
            cmd_args(ctx.label.cell_root, "/" + mark, delimiter = ""),
            str(ctx.label.raw_target()),
        )

    return [
        DefaultInfo(default_output = folder),
        RunInfo(args = command("write")),
        ExternalRunnerTestInfo(
            type = "custom",
            command = [command("check")],
            run_from_project_root = True,
            use_project_relative_paths = True,
        ),
    ]
