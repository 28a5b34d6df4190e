# bash completion for carptwist. Made by `make docs` from the program's own parser.
_carptwist() {
    local current=${COMP_WORDS[COMP_CWORD]} words verb= number=1
    while ((number < COMP_CWORD)); do
        case ${COMP_WORDS[number]} in
            -) ((number++)) ;;
            -*) ;;
            *) verb=${COMP_WORDS[number]}; break ;;
        esac
        ((number++))
    done
    case $verb in
        '') words='-h --help --version check plan passwd lab simulate what-if certs replay dissect' ;;
        check) words='-h --help --peer --json' ;;
        plan) words='-h --help --peer --json' ;;
        passwd) words='-h --help' ;;
        lab) words='-h --help --hosts --pcap' ;;
        simulate) words='-h --help --seed --svg --pcap --inspect --json' ;;
        what-if) words='-h --help --config --peer --fail --stop --demote --json' ;;
        certs) words='-h --help --server --client --days --json' ;;
        replay) words='-h --help --quiet -q --json --pcap' ;;
        dissect) words='-h --help -x --config --pass-file --address --json' ;;
        *) words= ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _carptwist carptwist
