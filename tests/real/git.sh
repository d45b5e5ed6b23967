# git: commits, branches, merges, a clone, a fetch, a collection of garbage.
export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_PAGER=cat
git config --global user.name test && git config --global user.email test@localhost
git init -q first && cd first
for number in $(seq 40); do
    seq "$number" >"file$((number % 7))"
    git add . && git commit -qm "Change $number"
done
git checkout -qb side HEAD~10 && echo side >side && git add . && git commit -qm Side
git checkout -q - && git merge -q --no-edit side >/dev/null
git clone -q --no-local . ../second
git -C ../second fetch -q && git log -p --stat >/dev/null
git grep -q 17 && git gc -q --aggressive && git fsck --no-progress
git worktree add -q ../third HEAD~3 && git stash list
