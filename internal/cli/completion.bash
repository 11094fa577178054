# Completion of PROGRAM for bash.
_PROGRAM() {
    local line=${COMP_LINE:0:COMP_POINT} current=${COMP_WORDS[COMP_CWORD]} word prefix= value candidate _
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[${#words[@]} - 1]}
    words=("${words[@]:1:${#words[@]}-2}" "=$word")
    value=$word
    [[ $word == --*=* ]] && prefix=${word%%=*}= value=${word#*=}
    COMPREPLY=()
    while IFS=$'\t' read -r candidate _; do
        case $candidate in
        :files)
            compopt -o filenames 2>/dev/null
            while IFS= read -r candidate; do COMPREPLY+=("$prefix$candidate"); done < <(compgen -f -- "$value") ;;
        :dirs)
            compopt -o filenames 2>/dev/null
            while IFS= read -r candidate; do COMPREPLY+=("$prefix$candidate"); done < <(compgen -d -- "$value") ;;
        *) COMPREPLY+=("$candidate") ;;
        esac
    done < <("${COMP_WORDS[0]}" __complete "${words[@]}" 2>/dev/null)
    # Bash ends words at = and @ as well, and replaces the last of them only.
    [[ $current == [=@:] ]] && current=
    prefix=${word%"$current"}
    COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
}
complete -F _PROGRAM PROGRAM
