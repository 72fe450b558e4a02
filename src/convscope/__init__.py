"""Convscope: what a single filter of a convolutional network does, and how.

Reading order, from the bottom of the import rule to its top:

1. ``unit``, ``settings``, ``architectures``, ``pickles``, ``torch_file``, ``weights``,
   ``weight_file``, ``journal``: the address of a filter, the typed values of a request, what
   packaged networks are made of, where weights come from and how they are read safely, what a run
   has finished.
2. ``photograph``, ``views``, ``images``, ``fetch``, ``labels``, ``label_table``, ``class_names``: a
   file decoded, the square that a network sees of it, batches, a public set, the classes and
   WordNet above them, the names of a network's outputs.
3. ``draws``, ``spectrum``, ``parameterization``, ``transforms``, ``penalties``, ``stimuli``: random
   numbers, free numbers that decode to an image, what the image must survive and what it pays for,
   gratings and other drawn images.
4. ``figures``, ``explorer``, ``folder``, ``whole``, ``tracker``: pictures as arrays, files that are
   there whole or not at all, and where results go.
5. ``field``, ``density``, ``auroc``, ``pruning``, ``bootstrap``, ``resampling``, ``pattern``,
   ``circular``, ``game``: plain numbers: what a position sees, histograms of activations, areas
   under curves, which of nested names to keep, draws of photographs, the layout of a kernel,
   angles, guesses.
6. ``graph``, ``layout``, ``flow``, ``preprocess``, ``network``, ``linear``, ``receptive``,
   ``objectives``, ``optimizers``, ``precision``: a Keras graph laid out flat, how positions and
   channels go through it, a trained network and its taps, the kernel of a filter, the pixels that a
   position sees, what ascends, by which steps, in which number format.
7. ``shard``, ``manifest``, ``index``, ``panel``, ``accuracy``: the activations of a layer on disk,
   labelled photographs in two halves, what counts as recognized and how often it was.
8. ``packaged``, ``published``, ``applications``, ``keras_file``, ``outline``, ``readings``,
   ``memory``, ``subject``: the networks there are, what is known of one before it is loaded, what
   an objective asks it at the least cost, how much fits, and whether a request can be answered.
9. ``nouns``, ``claims``, ``registration``, ``material``, ``intervention``, ``verdict``, ``trial``:
   a hypothesis read, frozen and tested. ``ascent``, ``activations``, ``kernels``, ``attribution``,
   ``selectivity``, ``predictor``, ``prediction``: gradient ascent, what photographs do, kernel
   slices, exact contributions one layer back, which classes excite a unit, what a network takes a
   photograph for. ``probe``, ``tuning``, ``invariance``, ``equivariance``, ``polysemanticity``:
   what drawn stimuli and moved exemplars do. ``sample``, ``effects``, ``rankings``,
   ``faithfulness``, ``vetoes``: what inputs do, and how far few of them suffice. ``cascade``,
   ``paths``, ``reduction``, ``clients``, ``expansion``: further hops, back and on.
10. ``recipes``, ``plan``, ``card``, ``album``, ``survey``, ``example``, ``roster``, ``spread``,
    ``page``, ``sweep``, ``lineup``, ``inventory``, ``curves``, ``diagram``, ``witness``: from
    settings to an ascent, what is to be made in which batches, an image as it is shown, photographs
    a network has seen, the pass that fills an index, a position on a photograph, a filter among all
    of its layer, the ground of all HTML pages, a multirun's jobs, photographs beside their classes,
    a network's layers, two drawings, whether an optimum is evidence.
11. ``circuit``, ``hypothesis``, ``report``, ``gallery``, ``sheet``, ``quilt``, ``distribution``,
    ``parallel``, ``answers``, ``directory``, ``arguments``, ``traits``: the inputs of a unit as
    data, what it may be for in words, pages, pictures, what may be argued and said of it.
12. ``findings``, ``hops``, ``character``, ``testimony``, ``case``, ``beyond``, ``likeness``,
    ``dossier``, ``catalogue``, ``evidence``, ``exhibit``, ``census``, ``overview``, ``studio``,
    ``account``, ``recognition``, ``passage``: findings put into words, for a circuit, for images,
    for photographs, for one filter, for what was recognized, for a layer and for a multirun; images
    on their way from the ascent to the disk; the pass over photographs as a run makes it.
13. ``multirun``, ``stages``: the notes of a multirun, and one file for each command.

A module imports only modules below it; ``tests/test_architecture.py`` holds the rule. TensorFlow
comes from ``backend`` into the modules that make tensors, never into those that only check a
request.
"""
