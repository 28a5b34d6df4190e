# bash completion for carpctl. Made by `make docs` from the program's own parser.
_carpctl() {
    local current=${COMP_WORDS[COMP_CWORD]} words verb= number=1
    while ((number < COMP_CWORD)); do
        case ${COMP_WORDS[number]} in
            --socket|--certificate|--key|--ca) ((number++)) ;;
            -*) ;;
            *) verb=${COMP_WORDS[number]}; break ;;
        esac
        ((number++))
    done
    case $verb in
        '') words='-h --help --version --socket --certificate --key --ca status ifconfig sysctl state explain events maintenance demote undemote sync version reload plan save' ;;
        status) words='-h --help --json --watch' ;;
        ifconfig) words='-h --help --json -a --save' ;;
        sysctl) words='-h --help -a -n -w --json --save' ;;
        state) words='-h --help --json master backup' ;;
        explain) words='-h --help --json' ;;
        events) words='-h --help --follow --json -n' ;;
        maintenance) words='-h --help --force --reason --json on off' ;;
        demote) words='-h --help --owner --reason --for --json' ;;
        undemote) words='-h --help --json' ;;
        sync) words='-h --help --json begin done fail' ;;
        version) words='-h --help --json' ;;
        reload) words='-h --help --json' ;;
        plan) words='-h --help --json' ;;
        save) words='-h --help --json' ;;
        *) words= ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _carpctl carpctl
