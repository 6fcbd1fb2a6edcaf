"""`rfjax gram`: files in, a Gram matrix out, and one line for everything that is wrong."""

import jax.numpy as jnp
import numpy as np
import pytest

import rfjax as rf
from rfjax.cli import main
from rfjax.commands.activation import parse

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(7, 3)), rng.normal(size=(5, 3))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("X.npy", X)
    np.save("single.npy", X.astype(np.float32))
    np.save("integers.npy", np.arange(6).reshape(2, 3))
    np.savez("one.npz", data=Y)
    np.savez("several.npz", Y=Y, other=X)
    np.savez("neither.npz", a=Y, b=X)
    np.savetxt("Y.csv", Y, delimiter=",", header="a,b,c", comments="")
    np.savetxt("bare.csv", Y, delimiter=",")
    (tmp_path / "words.csv").write_text("a,b\n1,2\nx,y\n")
    (tmp_path / "empty.npy").touch()
    (tmp_path / "not.npz").write_text("PK but no archive")


def gram(text: str) -> None:
    main(["gram", *text.split()])


@pytest.mark.slow
def test_a_tangent_kernel_of_two_files(capsys):
    gram("--x X.npy --y Y.csv --kernel ntk --depth 2 --activation erf --w-std 1.3 --b-std 0.2 --out a/K.npy --tile 3")
    network = rf.mlp(depth=2, width=1, activation=rf.activations.erf, w_std=1.3, b_std=0.2)
    np.testing.assert_allclose(np.load("a/K.npy"), rf.ntk(network)(X, Y), rtol=1e-12)
    assert capsys.readouterr().out == "a/K.npy: 7 x 5 float64, 0.00028 MB\n"


@pytest.mark.parametrize(
    ("options", "kernel", "y"),
    [
        ("--kernel rbf --length-scale 1.7", rf.rbf(1.7), None),
        ("--kernel matern --nu 1.5 --length-scale 1 2 3 --y one.npz", rf.matern(1.5, [1.0, 2.0, 3.0]), Y),
        ("--kernel rational-quadratic --alpha 2 --y several.npz", rf.rational_quadratic(2.0), Y),
        ("--kernel polynomial --degree 2 --offset 0 --normalised", rf.kernels.Normalised(rf.polynomial(2, 1.0, 0.0)), None),
        ("--kernel angular --y bare.csv", rf.angular(), Y),
    ],
)  # fmt: skip
def test_other_kernels_and_files(options, kernel, y):
    gram(f"--x X.npy --out K.npy {options}")
    np.testing.assert_allclose(np.load("K.npy"), kernel(X, y), rtol=1e-12, atol=1e-15)


def test_the_precision_is_that_of_the_file_or_as_asked():
    gram("--x single.npy --kernel rbf --out a.npy")
    gram("--x X.npy --kernel rbf --out b.npy --dtype float32")
    gram("--x integers.npy --kernel rbf --out c.npy --dtype float64")
    assert [np.load(f"{name}.npy").dtype for name in "abc"] == [np.float32, np.float32, np.float64]
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--kernel rbf --out exists.npy", "exists.npy exists already"),
        ("--kernel matern", "the kernel matern needs --nu"),
        ("--kernel rbf --nu 1.5", "--nu is no setting of the kernel rbf, which has: --length-scale"),
        ("--kernel angular --depth 2", "--depth is no setting of the kernel angular, which has: none"),
        ("--kernel rbf --length-scale -1", "length_scale must be a finite number > 0.0, got -1.0"),
        ("--kernel rbf --length-scale 1 2", "length_scale must have one entry a column: got 2 for 3 columns"),
        ("--kernel ntk --activation rleu", "activation must be one of abs, "),
        ("--kernel rbf --out K.txt", "path must end in .npy, got K.txt"),
        ("--kernel rbf --tile 0", "tile must be at least 1, got 0"),
        ("--kernel rbf --x no.npy", "cannot read no.npy: No such file or directory"),
        ("--kernel rbf --x empty.npy", "cannot read numbers from empty.npy"),
        ("--kernel rbf --x integers.npy", "integers.npy holds int64, not floats: say --dtype float32"),
        ("--kernel rbf --y words.csv", "cannot read numbers from words.csv: could not convert string 'x'"),
        ("--kernel rbf --y neither.npz", "it holds a, b; wanted one array, or one named y"),
        ("--kernel rbf --y not.npz", "cannot read numbers from not.npz"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(options, says, tmp_path, capsys):
    np.save("exists.npy", np.ones(3))
    before = sorted(tmp_path.iterdir())
    defaults = " ".join(f"{o} {v}" for o, v in (("--x", "X.npy"), ("--out", "K.npy")) if f"{o} " not in options)
    with pytest.raises(SystemExit) as stopped:
        gram(f"{defaults} {options}")
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("rfjax: ")
    assert message.count("\n") == 1
    assert says in message
    assert sorted(tmp_path.iterdir()) == before


def test_activations_by_name():
    assert parse("relu") is rf.activations.relu
    assert parse(" leaky_relu( 0.1 )") == rf.activations.leaky_relu(0.1)
    assert parse("leaky_relu(slope=-0.1)") == rf.activations.leaky_relu(-0.1)
    assert float(parse("tanh")(jnp.asarray(0.5))) == pytest.approx(np.tanh(0.5))


@pytest.mark.parametrize(
    "text",
    [
        "", "relu()", "relu(1)", "leaky_relu", "leaky_relu('a')", "leaky_relu(1, 2)", "leaky_relu(**{'slope': 1})",
        "leaky_relu(relu)", "leaky_relu(1 if 1 else 2)", "from_function(relu)", "Erf", "Nonlinearity", "tanh(1)",
        "rf.activations.relu", "__import__('os').getcwd()", "lambda x: x", "relu; relu", "(" * 500, "relu\0",
    ],
)  # fmt: skip
def test_nothing_else_is_an_activation(text):
    with pytest.raises((ValueError), match="activation"):
        parse(text)
