#!/usr/bin/env bash
# cli -> all; operators -> scripts -> engine -> base; connectors, store, local, kafka, http -> engine -> base.
set -uo pipefail

declare -A may=(
    [runtime/base]="base"
    [runtime/engine]="engine base"
    [runtime/store]="store engine base"
    [runtime/local]="local engine base"
    [runtime/kafka]="kafka engine base"
    [runtime/http]="http engine base"
    [scripts]="scripts engine base"
    [operators]="operators scripts engine base"
    [connectors]="connectors engine base"
)
failed=0
for folder in "${!may[@]}"; do
    while IFS=: read -r file line include; do
        target=${include#*\"}
        target=${target%%/*}
        case " ${may[$folder]} " in
        *" $target "*) ;;
        *)
            echo "$file:$line: $folder may not include ${include#*\"}"
            failed=1
            ;;
        esac
    done < <(git ls-files "$folder/*.c" "$folder/*.h" | xargs -r grep -nE '^#include "[a-z_]+/' /dev/null)
done
exit $failed
