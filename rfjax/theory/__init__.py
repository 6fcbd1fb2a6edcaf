"""What fixed features can and cannot learn, exactly: no sampling, no constants left open.

    rf.theory.spectrum(task)                  # eigenvalues of the target, averaged over its directions
    rf.theory.risk_lower_bound(task, 3000)    # relative error of any 3000 fixed functions
    rf.theory.minimal_width(task, 0.01)       # .width, .log10, .degree
    rf.theory.energies(task)                  # E g² by degree; information_exponent(task), leap(task)
    rf.theory.coefficient_bound(task, 0.01)   # how large coefficients must be, of any number of functions
    rf.theory.kernel_spectrum(rf.ntk(net), d) # eigenvalues and multiplicities of a kernel of norms and angle

    modes = rf.theory.random_neuron_modes(task)                             # or rf.theory.modes(eigenvalues, energies)
    rf.theory.kernel_learning_curve(modes, n=[10, 1000], ridge=0.1)         # .risk; and optimal_ridge
    rf.theory.random_feature_curve(modes, n=100, features=400, ridge=1e-3)  # through the peak at features = n
    rf.theory.random_neuron_risk(task, [100, 1000])                         # on infinitely many samples
    rf.theory.gram_learning_curve(k(X), y, n=[10, 100], ridge=0.1)          # from data alone
    rf.theory.neuron_descent(task, rf.theory.random_starts(1000, 50, seed=0), steps=2000)    # gradient descent, any d

The target is a neuron σ(norm·⟨w, x⟩ + bias) with w uniform on the sphere and x ~ N(0, I_d).  Whatever r functions are
fixed before w is drawn, the best linear combination of them errs on average by the sum of all but the r largest
eigenvalues.  The claim is that of Yehudai & Shamir 2019, *On the Power and Limitations of Random Features for
Understanding Neural Networks*; the form given here follows from the spectral theorem alone and has no restriction on
the coefficients.

**What is exponential in d, and what is not.**

- With bias/norm fixed and a fixed *relative* error ε the minimal width is polynomial in d: about d^K(ε), with K(ε)
  growing like ε^{−2/3} for a ReLU.  At bias/norm = −1, ε = 0.01 and d = 1000 that is 10²⁷: out of reach, but not
  exponential.
- At a fixed *absolute* error it is exponential once the weights grow with d: for norm = d^{3/4}, bias = −norm and error
  1/50 it is about e^{1.14 d} (d = 5…160); with norm = d it grows faster still.
- A constant relative error that needs exponential width takes a target that itself depends on d: for
  z + √2·sin(√d·z) and ε = 1/4 it is about e^{1.07 d}.

All three are averages over directions.  They bound random features, kernel methods and linearised networks; they do
not bound trained networks, nor kernels that are tuned on the labels.
"""

from rfjax.theory.descent import NeuronDescent, NeuronState, neuron_descent, random_starts
from rfjax.theory.double_descent import RandomFeatureCurve, random_feature_curve, random_feature_risk
from rfjax.theory.eigenmodes import Modes, modes
from rfjax.theory.empirical import (
    GramSpectrum,
    PowerLaw,
    capacity_exponent,
    effective_dimension,
    gram_spectrum,
    participation_ratio,
    source_exponent,
)
from rfjax.theory.energies import Energies, energies, information_exponent, leap
from rfjax.theory.equivalents import random_neuron_modes, random_neuron_risk
from rfjax.theory.estimates import EnergyEstimates, estimate_energies
from rfjax.theory.gram_curves import GramCurve, gram_learning_curve
from rfjax.theory.kernel_spectra import KernelSpectrum, kernel_spectrum
from rfjax.theory.learning_curves import LearningCurve, gaussian_lengths, kernel_learning_curve, optimal_ridge
from rfjax.theory.limits import (
    CoefficientBound,
    MinimalWidth,
    coefficient_bound,
    degree_reach,
    minimal_width,
    risk_lower_bound,
)
from rfjax.theory.spectra import Spectrum, spectrum

__all__ = [
    "CoefficientBound",
    "Energies",
    "EnergyEstimates",
    "GramCurve",
    "GramSpectrum",
    "KernelSpectrum",
    "LearningCurve",
    "MinimalWidth",
    "Modes",
    "NeuronDescent",
    "NeuronState",
    "PowerLaw",
    "RandomFeatureCurve",
    "Spectrum",
    "capacity_exponent",
    "coefficient_bound",
    "degree_reach",
    "effective_dimension",
    "energies",
    "estimate_energies",
    "gaussian_lengths",
    "gram_learning_curve",
    "gram_spectrum",
    "information_exponent",
    "kernel_learning_curve",
    "kernel_spectrum",
    "leap",
    "minimal_width",
    "modes",
    "neuron_descent",
    "optimal_ridge",
    "participation_ratio",
    "random_feature_curve",
    "random_feature_risk",
    "random_neuron_modes",
    "random_neuron_risk",
    "random_starts",
    "risk_lower_bound",
    "source_exponent",
    "spectrum",
]
