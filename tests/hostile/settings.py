"""Settings of training that cannot be."""

from hostile.case import TRAIN, Case
from hostile.changes import flipped, modules_here, written

OWN = "train --data scenes --text-encoder toy --clip-encoder "

CASES = [
    Case(
        "an unknown scheme",
        f"{TRAIN} --scheme magic",
        "unknown scheme 'magic': use one of ml_clap, .*or your own as module:Class",
    ),
    Case(
        "a batch of one",
        f"{TRAIN} --batch-size 1",
        "batch_size='1': it should be greater than or equal to 2",
    ),
    Case(
        "epochs in words",
        f"{TRAIN} --epochs many",
        "epochs='many': it should be a valid integer",
    ),
    Case("no epochs", f"{TRAIN} --epochs 0", "epochs='0': it should be greater"),
    Case(
        "an infinite temperature",
        f"{TRAIN} --temperature inf",
        "temperature='inf': it should be a finite number",
    ),
    Case(
        "a temperature that is none",
        f"{TRAIN} --temperature nan",
        "temperature='nan': it should be a finite number",
    ),
    Case(
        "no temperature",
        f"{TRAIN} --temperature 0",
        "temperature='0': it should be greater than or equal to 0.001",
    ),
    Case(
        "a negative temperature",
        f"{TRAIN} --temperature=-1",
        "temperature='-1': it should be greater than",
    ),
    Case(
        "a temperature of nearly nothing",
        f"{TRAIN} --temperature 1e-45",
        "temperature='1e-45': it should",
    ),
    Case(
        "a temperature without end",
        f"{TRAIN} --temperature 1e9",
        "temperature=.*: it should be less than or equal",
    ),
    Case(
        "a step beyond the numbers",
        f"{TRAIN} --learning-rate 1e300",
        r"learning_rate='1e300': it should be less than or equal to 1",
    ),
    Case("an empty folder", f"{TRAIN} --folder ''", "a value or text is empty; give one", 2),
    Case(
        "a home that is none",
        "train --folder ~nobody-here/x",
        "argument --folder: '~nobody-here/x': Could not determine home directory",
        2,
    ),
    Case(
        "no such module",
        f"{OWN}nowhere:Ear",
        "'nowhere:Ear': nowhere cannot be imported .*No module.*write module:Class",
    ),
    Case("a module of nothing", f"{OWN}:Ear", "':Ear': .*write module:Class"),
    Case("a path as module", f"{OWN}a/b.py:Ear", "a/b.py cannot be imported .*write module:Class"),
    Case(
        "a function as encoder",
        f"{OWN}os:system=true",
        "system of os is no subclass of torch.nn.Module",
    ),
    Case("no such class", f"{OWN}os:Ear", "Ear of os is no subclass"),
    Case(
        "a module that fails",
        f"{OWN}mine:Ear",
        "'mine:Ear': mine cannot be imported .ZeroDivisionError",
        prepare=written("mine.py", "1 / 0"),
        inside=modules_here,
    ),
    Case(
        "a module that leaves",
        f"{OWN}mine:Ear",
        "'mine:Ear': mine cannot be imported .SystemExit",
        prepare=written("mine.py", "raise SystemExit(0)"),
        inside=modules_here,
    ),
    Case(
        "a module without its own",
        f"{OWN}mine:Ear",
        "'mine:Ear': mine cannot be imported .*No module named 'absent'",
        prepare=written("mine.py", "import absent"),
        inside=modules_here,
    ),
    Case(
        "a class that wants more",
        f"{OWN}torch.nn:Linear",
        "'torch.nn:Linear': it cannot be built .TypeError",
    ),
    Case(
        "a module that is no encoder",
        f"{OWN}torch.nn:ReLU",
        "'torch.nn:ReLU': it has no name .str.; see atri_lib",
    ),
    Case(
        "an infinite step",
        f"{TRAIN} --learning-rate inf",
        "learning_rate='inf': it should be a finite number",
    ),
    Case("everything dropped", f"{TRAIN} --dropout 1", "dropout='1': it should be less than 1"),
    Case("dropout that is no number", f"{TRAIN} --dropout nan", "dropout='nan': it should be"),
    Case(
        "a seed of 2^45",
        f"{TRAIN} --seed {2**45}",
        "seed='35184372088832': it should be less than 4294967296",
    ),
    Case(
        "a negative seed",
        f"{TRAIN} --seed=-1",
        "seed='-1': it should be greater than or equal to 0",
    ),
    Case(
        "a data seed of 2^64",
        f"{TRAIN} --data-seed {2**64}",
        "data_seed=.*: it should be less than",
    ),
    Case(
        "a third tower", f"{TRAIN} --unfreeze video=1", "unfreeze.*it should be 'clips' or 'text'"
    ),
    Case("blocks without a number", f"{TRAIN} --unfreeze clips", "unfreeze=.*clips=2 text=all"),
    Case("blocks in words", f"{TRAIN} --unfreeze text=some", "unfreeze=.*'text': 'some'.*text=all"),
    Case(
        "negative blocks", f"{TRAIN} --unfreeze clips=-1", "unfreeze=.*greater than or equal to 0"
    ),
    Case(
        "English not first",
        f"{TRAIN} --languages fra eng",
        r"languages=.*English \(eng\) comes first",
    ),
    Case("a language twice", f"{TRAIN} --languages eng eng", "languages=.*no language twice"),
    Case(
        "an unknown language",
        f"{TRAIN} --languages eng xxx",
        "languages.*it should be 'eng', 'fra'",
    ),
    Case(
        "more languages than there are",
        f"{TRAIN} --scheme m_of_k --m 9",
        "cannot draw 9 different languages out of 8: give more",
    ),
    Case("m left open", f"{TRAIN} --scheme m_of_k", "m_of_k needs m"),
    Case("CACL with one language", f"{TRAIN} --scheme cacl --languages eng", "cacl cannot draw 2"),
    Case(
        "an unknown preset",
        f"{TRAIN} --preset large",
        "preset='large': it should be 'mini' or 'paper'",
    ),
    Case(
        "an unknown encoder",
        f"{TRAIN} --text-encoder bert",
        "unknown encoder 'bert': use one of use, e5, sonar",
    ),
    Case("an encoder without its path", f"{TRAIN} --clip-encoder ced-tiny=", "only ced-SIZE=PATH"),
    Case("no scenes", "train --scenes 9 0 9", "scenes.*: it should be greater than 0"),
    Case("no width", f"{TRAIN} --width 0", "width='0': it should be greater"),
    Case("a negative chunk", f"{TRAIN} --text-chunk=-1", "text_chunk='-1': it should be greater"),
    Case(
        "numbers of 8 bits",
        f"{TRAIN} --precision fp8",
        "precision='fp8': it should be 'fp32' or 'bf16'",
    ),
    Case(
        "an unknown profile",
        f"{TRAIN} --profile big",
        "argument --profile: invalid choice: 'big'",
        2,
    ),
    Case(
        "resuming with another seed",
        "train --resume begun --seed 99",
        "as it was begun: leave out --seed, or --resume",
        2,
    ),
    Case(
        "resuming with a profile",
        "train --resume begun --profile smoke",
        "leave out --profile",
        2,
    ),
    Case(
        "resuming elsewhere",
        "train --resume begun --folder x --epochs 3",
        "leave out --epochs, --folder",
        2,
    ),
    Case(
        "a start that is nowhere",
        f"{TRAIN} --init nowhere",
        "nowhere: not a complete run .*give the folder of",
    ),
    Case(
        "a start of another size",
        f"{TRAIN} --init run --width 8",
        "another architecture, .*expected",
    ),
    Case(
        "a start with a flipped bit",
        f"{TRAIN} --init run",
        "run: .*weights.safetensors is not what was",
        prepare=flipped("run/weights.safetensors"),
    ),
    Case(
        "steps that explode",
        f"{TRAIN} --learning-rate 1e30 --epochs 9",
        "Try a smaller learning rate",
    ),
    Case(
        "more memory than there is",
        f"{TRAIN} --hidden 2000000000",
        "not enough memory; give .*--batch-size",
    ),
]
