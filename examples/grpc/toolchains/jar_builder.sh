# Packs the folders that a file lists.
while [ $# -gt 0 ]; do
  case $1 in
    --entries-to-jar) entries=$2 ;;
    --output) out=$2 ;;
  esac
  shift
done
while IFS= read -r folder || [ -n "$folder" ]; do set -- "$@" -C "$folder" .; done <"$entries"
exec jar --create --no-manifest --file "$out" "$@"
