<?php
// Generators of PHP in forked children: `generator.php WHAT HOW`.
[, $what, $how] = $argv;
$draw = match ($what) {
    "mt_rand" => fn () => mt_rand(),
    "random_int" => fn () => random_int(0, PHP_INT_MAX),
    "shuffle" => function () { $all = range(1, 4); shuffle($all); return $all[0]; },
};
if ($how != "unseeded") {
    mt_srand(42);
    $draw();
}
for ($number = 0; $number < 2; $number++) {
    if (pcntl_fork() > 0) continue;
    if ($how == "reseeded") mt_srand(random_int(0, PHP_INT_MAX));
    if ($how == "alike") mt_srand(4711);
    for ($i = 0; $i < ($how == "one" && $number ? 0 : 6); $i++) $draw();
    if ($how == "equal" && $what != "random_int") echo "same=", getmypid(), "\n";
    usleep(1500000);
    exit(0);
}
while (pcntl_wait($status) > 0);
