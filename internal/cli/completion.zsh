#compdef PROGRAM
# Completion of PROGRAM for zsh.
_PROGRAM() {
    local line tab=$'\t' found=1
    local -a lines candidates before
    before=("${(@)words[2,CURRENT-1]}")
    lines=("${(@f)$("${words[1]}" __complete "${before[@]}" "=${words[CURRENT]}" 2>/dev/null)}")
    for line in "${lines[@]}"; do
        case $line in
        '') ;;
        :files) _files && found=0 ;;
        :dirs) _files -/ && found=0 ;;
        *$tab*) candidates+=("${${line%%$tab*}//:/\\:}:${line#*$tab}") ;;
        *) candidates+=("${line//:/\\:}") ;;
        esac
    done
    (( ${#candidates} )) && _describe PROGRAM candidates && found=0
    return found
}
if [[ ${funcstack[1]} == _PROGRAM ]]; then
    _PROGRAM "$@"
else
    compdef _PROGRAM PROGRAM
fi
